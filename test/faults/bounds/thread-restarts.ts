import { eventually } from '../../support/eventually.ts'
import { World } from '../../support/world.ts'
import { boundsHandlers, type Footprint, footprintOf, quantile, type Row, Scope, untilLeft } from './bound.ts'

const growthLimitMb = 30
/** About as many as fit into three seconds. */
const restingLooks = 50

export interface ThreadRestarts {
  restarts: number
  /** Before the first look, so that what only fills once is full. */
  warmUp: number
}

/** How a thread can end, and how often of twenty times; a job in between shows that the handler still works. */
const ways = [
  { share: 9, job: { do: 'exit', exitCode: 3 } },
  { share: 6, job: { do: 'timer-throw' } },
  { share: 4, job: { do: 'loop' }, headers: { 'Millrace-Deadline-Ms': '20' } },
  { share: 1, job: { do: 'fill-heap' } },
]
const mix = ways.flatMap(({ share, ...way }) => Array.from({ length: share }, () => way))

/** What a supervisor has grown by after so many threads of it have ended and been replaced. */
export function threadRestarts({ restarts, warmUp }: ThreadRestarts): Promise<Row> {
  return Scope.of(async (scope) => {
    const world = await World.create(scope, {
      env: {
        MILLRACE_HANDLERS: boundsHandlers,
        MILLRACE_MAX_ATTEMPTS: '1',
        MILLRACE_GRACE_MS: '0',
        MILLRACE_THREAD_MEMORY_MB: '32',
        MILLRACE_JOB_LOGS: 'errors',
        MILLRACE_LOG_LEVEL: 'fatal',
      },
    })
    const { broker, ledger } = world
    // At this level nothing says where it listens, so its port cannot be asked whether it is ready.
    const supervisor = world.spawn({ MILLRACE_LOG_LEVEL: 'info' })
    await supervisor.ready()
    const doomed = new Set<string>()
    const healthy = new Set<string>()
    const endThreads = async (count: number): Promise<Footprint> => {
      for (let from = 0; from < count; from += 200) {
        const some = shuffled(from, Math.min(200, count - from))
        for (const [n, { job, headers }] of some.entries()) {
          doomed.add(await broker.enqueue('act', job, headers ? { headers } : {}))
          if (n % 4 === 3) healthy.add(await broker.enqueue('act', { do: 'return' }))
        }
        await untilLeft(broker, supervisor, 0)
      }
      return restingFootprint(supervisor.pid)
    }
    const before = await endThreads(warmUp)
    const after = await endThreads(restarts)

    const letters = await broker.deadLetters()
    const starts = ledger.count('start')
    const ends = ledger.count('end')
    const lost = [...doomed].filter((id) => letters.filter((letter) => letter.jobId === id).length !== 1)
    const undone = [...healthy].filter((id) => ends.get(id) !== 1)
    const repeated = [...doomed, ...healthy].filter((id) => starts.get(id) !== 1)
    const strangers = letters.filter(({ jobId }) => !doomed.has(jobId))
    const unaccounted = lost.length + undone.length + strangers.length
    const ended = (await supervisor.metrics()).sum('millrace_thread_restarts_total')
    const grownMb = after.rssMb - before.rssMb
    const [files, threads] = [after.files - before.files, after.threads - before.threads]
    const sound = unaccounted === 0 && files === 0 && threads === 0 && ended >= restarts + warmUp
    return {
      bound: `${restarts} thread restarts leave nothing behind`,
      limit: `RSS at most ${growthLimitMb} MB more, files and threads as before, all jobs accounted for`,
      measured: `RSS ${signed(grownMb)} MB (${Math.round(before.rssMb)} to ${Math.round(after.rssMb)}), files ${signed(files)}, threads ${signed(threads)}, unaccounted ${unaccounted}`,
      holds: sound && grownMb <= growthLimitMb,
      detail: `after ${warmUp} to warm up; ${ended} restarts counted; exits, throws, deadlines, out of memory 9:6:4:1; ${repeated.length} of ${doomed.size + healthy.size} jobs did not start exactly once`,
      values: [grownMb, files, threads, unaccounted],
    }
  })
}

/** The mix in an order that is the same every time. */
function shuffled(seed: number, count: number): (typeof mix)[number][] {
  return Array.from({ length: count }, (_, n) => mix[((seed + n) * 7) % mix.length]!)
}

/** The medians of some looks at a process that has nothing to do: none of them sees a thread or a file come or go. */
async function restingFootprint(pid: number): Promise<Footprint> {
  const looks: Footprint[] = []
  await eventually(
    'nothing comes or goes any more',
    () => {
      const look = footprintOf(pid)
      const last = looks.at(-1) ?? look
      if (look.files !== last.files || look.threads !== last.threads) looks.length = 0
      looks.push(look)
      return looks.length >= restingLooks
    },
    60_000,
  )
  const median = (of: (look: Footprint) => number): number => quantile(looks.map(of), 0.5)
  return {
    rssMb: median(({ rssMb }) => rssMb),
    files: median(({ files }) => files),
    threads: median(({ threads }) => threads),
  }
}

function signed(value: number): string {
  const rounded = Math.round(value * 10) / 10
  return rounded > 0 ? `+${rounded}` : String(rounded)
}
