import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startLocalBroker } from '#src/broker/local-broker.js'
import { type RunningCommand, startMillrace } from '../../support/command-line.ts'
import { eventually } from '../../support/eventually.ts'
import { JetStreamView } from '../../support/jetstream-view.ts'
import { Ledger } from '../../support/ledger.ts'
import { serverBinary } from '../../support/nats-server.ts'
import { Supervisor } from '../../support/supervisor.ts'
import { soundHandlers } from '../../support/world.ts'
import type { Row } from './bound.ts'

/** What is done to a replay. */
export interface InterruptedReplay {
  readonly deadLetters: number
  /** How often a replay is ended by SIGKILL. */
  readonly kills: number
  /** How often the broker is, too, while a replay runs. @default 0 */
  readonly brokerKills?: number
  /** Replays that run at the same time. @default 1 */
  readonly operators?: number
  /** Supervisors that run the jobs meanwhile. @default 2 */
  readonly supervisors?: number
  readonly seed: number
  readonly narrate?: (line: string) => void
}

/** What came of it, by the ledger of the handlers. */
export interface ReplayLoss {
  /** Jobs that did not run to their end after the replay. */
  readonly lost: number
  /** Runs that were one too many. */
  readonly doubled: number
  readonly kills: number
  /** From the first replay until every job had run. */
  readonly seconds: number
  /** Jobs that were published a second time for their dead letter, and that no supervisor ran. */
  readonly suppressed: number
}

/** Whether a replay that is killed again and again loses or doubles a job. */
export async function interruptedReplay(options: InterruptedReplay): Promise<Row> {
  const { lost, doubled, kills, seconds, suppressed } = await measureInterruptedReplay(options)
  return {
    bound: `replay of ${options.deadLetters} dead letters, killed again and again`,
    limit: '0 lost, 0 doubled',
    measured: `${lost} lost, ${doubled} doubled`,
    holds: lost === 0 && doubled === 0 && kills > 0,
    detail: `${kills} kills in ${Math.round(seconds)} s; ${suppressed} second publishes were not run`,
    values: [lost, doubled],
  }
}

/** As short as the server allows, so that message ids alone would let a second job in after each kill. */
const duplicateWindowMs = '100'
const waitMs = 300_000

/**
 * Lets jobs die, replays them, and kills the replay at random points until it has come to its end. The jobs die
 * and run again on real supervisors; a job ran as often as the ledger says, whatever anybody reports.
 */
export async function measureInterruptedReplay(options: InterruptedReplay): Promise<ReplayLoss> {
  const { deadLetters, operators = 1, supervisors = 2, narrate = () => {} } = options
  const folder = mkdtempSync(join(tmpdir(), 'millrace-replay-'))
  const server = await startLocalBroker({ binary: serverBinary })
  // The replay goes on while a request waits that was lost with the broker, and is to be killed again before it ends.
  const broker = await JetStreamView.connect(server.url, 'jobs', {}, 2_000)
  const ledger = new Ledger(join(folder, 'ledger.jsonl'))
  const env = {
    NATS_URL: server.url,
    E2E_LEDGER: ledger.path,
    MILLRACE_HTTP_PORT: '0',
    MILLRACE_HANDLERS: soundHandlers,
    MILLRACE_THREADS: '2',
    MILLRACE_JOB_LOGS: 'errors',
    MILLRACE_LOG_LEVEL: 'fatal',
    MILLRACE_DUPLICATE_WINDOW_MS: duplicateWindowMs,
  }
  const running = [new Supervisor({ ...env, MILLRACE_LOG_LEVEL: 'info' })]
  try {
    await running[0]!.ready()
    while (running.length < supervisors)
      running.push(await new Supervisor({ ...env, MILLRACE_LOG_LEVEL: 'info' }).ready())

    const gate = join(folder, 'gate')
    const bodies = Array.from({ length: deadLetters }, () => ({ do: 'permanent-unless-open', gate }))
    const ids = await broker.enqueueAll('act', bodies)
    await broker.drained(waitMs)
    await broker.streamLeaves(broker.deadStream, deadLetters, waitMs)
    writeFileSync(gate, '')
    narrate(`${deadLetters} jobs are dead letters`)

    const begunAt = performance.now()
    const random = randomFrom(options.seed)
    const schedule = { ...options, operators, random, narrate }
    const kills = await replayUntilDone(schedule, { NATS_URL: server.url }, broker, server)
    await broker.streamLeaves(broker.deadStream, 0, waitMs)
    await eventually('every job has run', () => returnsOf(ledger).size >= deadLetters, waitMs).catch(
      (error: unknown) => narrate(String(error)),
    )
    // Not until the stream is empty: a killed server of 2.9 keeps acked jobs, which it never hands out again.
    await eventually(
      'no job waits or runs',
      async () => {
        const { num_pending, num_ack_pending } = await broker.jsm.consumers.info(broker.stream, 'act')
        return num_pending + num_ack_pending === 0
      },
      waitMs,
    )
    const seconds = (performance.now() - begunAt) / 1_000

    const returns = returnsOf(ledger)
    const lost = ids.filter((id) => !returns.has(id)).length
    const doubled = [...returns.values()].reduce((sum, times) => sum + times - 1, 0)
    const pages = await Promise.all(running.map((supervisor) => supervisor.metrics()))
    const suppressed = pages.reduce((sum, page) => sum + page.sum('millrace_duplicates_suppressed_total'), 0)
    return { lost, doubled, kills, seconds, suppressed }
  } finally {
    await Promise.all(running.map((supervisor) => supervisor.kill()))
    await broker.nc.close()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

type Schedule = Required<InterruptedReplay> & { random: () => number }

/** Runs replays, several at once, and kills them after a random number of dead letters; answers how many it killed. */
async function replayUntilDone(
  schedule: Omit<Schedule, 'brokerKills' | 'supervisors'> & { brokerKills?: number },
  env: Record<string, string>,
  broker: JetStreamView,
  server: { kill(signal: NodeJS.Signals): boolean; ended(): Promise<void>; restart(): Promise<void> },
): Promise<number> {
  const { operators, random, narrate } = schedule
  const left = { kills: schedule.kills, brokerKills: schedule.brokerKills ?? 0 }
  for (;;) {
    const replays = Array.from({ length: operators }, () => startMillrace(['dead', 'replay'], env))
    const alive = new Set<RunningCommand>(replays)
    const ends = replays.map(async (replay) => {
      const run = await replay.ended
      alive.delete(replay)
      return run
    })
    while (alive.size > 0 && left.kills + left.brokerKills > 0) {
      // On average the kills are spread over all that is left.
      const letters = await broker.jobsLeft(broker.deadStream).catch(() => 0)
      const most = (2 * letters) / (left.kills + left.brokerKills + 1)
      await untilGone(broker, Math.ceil(random() * most), alive)
      if (alive.size === 0) break
      if (random() * (left.kills + left.brokerKills) < left.brokerKills) {
        left.brokerKills -= 1
        server.kill('SIGKILL')
        await server.ended()
        await server.restart()
        narrate('killed the broker, and started it again')
      } else {
        left.kills -= 1
        const [victim] = alive
        alive.delete(victim!)
        victim!.kill('SIGKILL')
      }
    }
    const runs = await Promise.all(ends)
    const remaining = await eventually('the broker answers', async () => ({
      letters: await broker.jobsLeft(broker.deadStream),
    }))
    narrate(`${remaining.letters} dead letters left, ${left.kills} kills to come`)
    const failed = runs.filter(({ code }) => code !== 0 && code !== null)
    for (const { stderr } of failed) narrate(stderr)
    if (remaining.letters === 0) return schedule.kills - left.kills
    if (failed.length > 0 && schedule.brokerKills === undefined) throw new Error(failed[0]!.stderr)
  }
}

/** Waits until so many more dead letters are gone, or no replay runs any more. */
async function untilGone(broker: JetStreamView, count: number, alive: ReadonlySet<unknown>): Promise<void> {
  let goal: number | undefined
  while (alive.size > 0) {
    await sleep(5)
    // A broker that was just started may not answer yet.
    const left = await broker.jobsLeft(broker.deadStream).catch(() => undefined)
    if (left === undefined) continue
    goal ??= left - count
    if (left <= goal) return
  }
}

/** How often each job ran to its end. */
function returnsOf(ledger: Ledger): Map<string, number> {
  const returns = new Map<string, number>()
  for (const line of ledger.lines()) {
    if (line.kind === 'end' && line['how'] === 'returned')
      returns.set(line.id, (returns.get(line.id) ?? 0) + 1)
  }
  return returns
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}
