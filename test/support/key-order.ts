import type { LedgerLine } from './ledger.ts'

/** A job with a key, as it was published. */
export interface KeyedJob {
  id: string
  handler: string
  key: string
}

/** One run of a job; a process that was killed ends its runs. */
interface Run {
  job: KeyedJob
  place: number
  startedAt: number
  endedAt: number
  completed: boolean
}

/**
 * What the ledger says against "one at a time, in order": each sentence is a broken promise.
 *
 * 1. Two runs of one key at the same time.
 * 2. A run of a job after a later job of its key has begun, unless that job had completed before: then its ack
 *    was lost with the process, and it may run again.
 *
 * @param jobs - in the order of publication.
 * @param deaths - when each process that was killed died, on the ledger's clock.
 */
export function brokenPromises(
  lines: readonly LedgerLine[],
  jobs: readonly KeyedJob[],
  deaths: ReadonlyMap<number, number> = new Map(),
): string[] {
  const places = new Map(jobs.map((job, place) => [`${job.handler} ${job.id}`, place]))
  const byKey = new Map<string, Run[]>()
  for (const run of runsOf(lines, jobs, places, deaths)) {
    const name = `${run.job.handler} ${run.job.key}`
    byKey.set(name, [...(byKey.get(name) ?? []), run])
  }
  return [...byKey].flatMap(([name, runs]) => judge(name, runs))
}

function judge(name: string, runs: Run[]): string[] {
  const broken: string[] = []
  runs.sort((a, b) => a.startedAt - b.startedAt)
  for (const [index, run] of runs.entries()) {
    const before = runs.slice(0, index)
    for (const other of before) {
      if (other.endedAt > run.startedAt) broken.push(`${name}: ${run.job.id} began while ${other.job.id} ran`)
    }
    const later = before.find((other) => other.place > run.place)
    const hadCompleted = before.some((other) => other.job === run.job && other.completed)
    if (later && !hadCompleted) broken.push(`${name}: ${run.job.id} began after ${later.job.id} had begun`)
  }
  return broken
}

function runsOf(
  lines: readonly LedgerLine[],
  jobs: readonly KeyedJob[],
  places: ReadonlyMap<string, number>,
  deaths: ReadonlyMap<number, number>,
): Run[] {
  const runs: Run[] = []
  const open = new Map<string, Run>()
  for (const line of lines) {
    const place = places.get(`${line.handler} ${line.id}`)
    if (place === undefined) continue
    const where = `${line.handler} ${line.id} ${line.pid} ${line.thread}`
    if (line.kind === 'start') {
      const endedAt = deaths.get(line.pid) ?? Number.POSITIVE_INFINITY
      const run = { job: jobs[place]!, place, startedAt: line.atMs, endedAt, completed: false }
      runs.push(run)
      open.set(where, run)
    } else if (line.kind === 'end') {
      const run = open.get(where)
      if (!run) continue
      run.endedAt = line.atMs
      run.completed = line['how'] === 'returned'
    }
  }
  return runs
}
