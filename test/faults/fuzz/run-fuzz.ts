import type { TestContext } from 'node:test'
import { eventually } from '../../support/eventually.ts'
import { projectRoot, type Supervisor } from '../../support/supervisor.ts'
import { World } from '../../support/world.ts'
import { Random } from '../random.ts'
import { Accounts } from './accounts.ts'
import { DeadLetterReader } from './dead-letters.ts'
import { canaryOf, drawMessage } from './messages.ts'
import { attemptsLimit, maxAttempts } from './oracle.ts'
import { Watch } from './watch.ts'
import { WirePublisher } from './wire.ts'

export interface FuzzOptions {
  readonly seed: number
  readonly messages: number
  /** The first message, to look at a finding again: the earlier ones are left out. @default 0 */
  readonly from?: number | undefined
  readonly narrate?: (line: string) => void
}

export interface FuzzReport {
  readonly seed: number
  readonly messages: number
  /** By kind of payload, header and subject, and by what became of the messages. */
  readonly counts: Readonly<Record<string, number>>
  readonly messagesPerSecond: number
  /** Of the supervisors, in MiB, once they had warmed up, and at the end. */
  readonly memoryMb: {
    readonly early: readonly number[]
    readonly late: readonly number[]
    readonly peak: number
  }
  /** What the supervisors gave up waiting for, on a machine that was too busy, and how often. */
  readonly busy: Readonly<Record<string, number>>
  /** What is not as it should be, a sentence each; at most a hundred are kept. */
  readonly findings: readonly string[]
}

/** Published, accounted for, and forgotten, before the next ones are. */
const waveSize = 3_000
const findingsKept = 100
/** On a busy machine; an idle one needs a second or two. */
const settleMs = 90_000
const bufferedBytes = 8 * 1024 * 1024
/** Of a run: what so few left behind may come to light too late, on a machine that lets nobody run for seconds. */
const mostLeaks = 10
const jobStreams = ['JOBS', 'JOBS_HIGH', 'JOBS_LOW']

/**
 * Sends malformed messages to two supervisors on a server of their own, and accounts for every one of them.
 *
 * Each message is drawn from the seed and its number, so nothing but what is not settled yet is remembered.
 */
export async function runFuzz(options: FuzzOptions): Promise<FuzzReport> {
  const cleanUps: (() => unknown)[] = []
  const context = { after: (cleanUp: () => unknown) => cleanUps.unshift(cleanUp) } as unknown as TestContext
  try {
    return await new FuzzRun(options).run(context)
  } finally {
    for (const cleanUp of cleanUps) await cleanUp()
  }
}

class FuzzRun {
  readonly #options: FuzzOptions
  readonly #random: Random
  readonly #findings = new Map<string, { times: number; readonly example: string }>()
  readonly #accounts: Accounts
  readonly #narrate: (line: string) => void

  constructor(options: FuzzOptions) {
    this.#options = options
    this.#random = new Random(options.seed)
    this.#narrate = options.narrate ?? (() => {})
    this.#accounts = new Accounts(this.#random, (finding, example) => this.#report(finding, example))
  }

  async run(context: TestContext): Promise<FuzzReport> {
    const { seed, messages, from: first = 0 } = this.#options
    const end = first + messages
    const world = await World.create(context, { env: settings })
    const supervisors = await Promise.all([world.supervise(), world.supervise()])
    const watch = new Watch(world, supervisors, canaryOf(this.#random.seed), (finding) =>
      this.#report(finding),
    )
    const threads = await Promise.all(supervisors.map(threadCount))
    const reader = await DeadLetterReader.open(world.broker.nc, world.broker.jsm, 'JOBS_DEAD')
    const wire = await WirePublisher.open(world.server.url)
    context.after(() => wire.close())

    const startedAt = performance.now()
    let early: number[] = []
    for (let from = first; from < end; from += waveSize) {
      const to = Math.min(end, from + waveSize)
      await this.#publish(wire, from, to)
      await this.#settle(world, reader, watch, false)
      if (early.length === 0 && (to - first) * 4 >= end - first) early = await watch.memory()
      this.#narrate(
        `${to - first} of ${end - first} messages, ${Math.round((to - first) / secondsSince(startedAt))}/s, ${this.#findings.size} findings, ${(await watch.memory()).join(' and ')} MiB${watch.busy.size > 0 ? `, busy: ${[...watch.busy.values()].join(' and ')} times` : ''}`,
      )
    }
    await this.#settle(world, reader, watch, true)
    const seconds = secondsSince(startedAt)
    await this.#lookAtTheEnd(world, supervisors, watch, threads)
    return {
      seed,
      messages: end - first,
      counts: Object.fromEntries([...this.#accounts.counts].sort(([a], [b]) => (a < b ? -1 : 1))),
      messagesPerSecond: Math.round((end - first) / seconds),
      memoryMb: { early, late: await watch.memory(), peak: watch.peakMemoryMb },
      busy: Object.fromEntries(watch.busy),
      findings: [...this.#findings].map(([finding, { times, example }]) =>
        sentence(`${times} times: ${finding}`, example),
      ),
    }
  }

  async #publish(wire: WirePublisher, from: number, to: number): Promise<void> {
    const nowMs = Date.now()
    const answers: Promise<void>[] = []
    for (let index = from; index < to; index += 1) {
      const message = drawMessage(this.#random, index, nowMs)
      const { subject, headers, payload } = message
      const answer = wire.publish(index, subject, headers.block, payload.body)
      answers.push(answer.then((told) => this.#accounts.published(message, nowMs, told)))
      if (wire.buffered > bufferedBytes || index % 256 === 255) {
        await eventually('the server takes what is sent', () => wire.buffered < bufferedBytes / 2, 60_000)
      }
    }
    await eventually(
      'the server answers every publish',
      () => {
        if (wire.unanswered > 0) throw new Error(`${wire.unanswered} have no answer; it says ${wire.error}`)
        return true
      },
      60_000,
    )
    await Promise.all(answers)
  }

  /** Waits until nothing is on its way any more, and compares what came out with what was expected. */
  async #settle(world: World, reader: DeadLetterReader, watch: Watch, everything: boolean): Promise<void> {
    const unclaimed = [...this.#accounts.unclaimed.values()].reduce((sum, count) => sum + count, 0)
    const isSettled = await eventually(
      'every job is settled',
      async () => {
        const left = await Promise.all(jobStreams.map((stream) => messagesIn(world, stream)))
        const jobs = left.reduce((sum, count) => sum + count, 0) - unclaimed
        if (jobs !== 0) throw new Error(`${jobs} jobs are left beside ${unclaimed} unclaimed`)
        if (!everything) return true
        const delayed = await messagesIn(world, 'JOBS_DELAYED')
        const wanted = this.#accounts.later + this.#accounts.strayDelayed
        if (delayed !== wanted)
          throw new Error(`${delayed} wait in the delayed stream, expected are ${wanted}`)
        return true
      },
      settleMs,
    ).catch((error: unknown) => this.#reportLeft(world, error))
    await watch.look()
    this.#accounts.leaksTold = watch.leaks
    this.#accounts.recordsLost = watch.busy.has('attempt records unavailable, counting deliveries')
    for (const letter of await reader.take()) {
      for (const [name, values] of letter.headers)
        watch.lookFor(`${name}: ${values.join('\n')}`, `the header ${name} of a dead letter`)
      this.#accounts.died(letter)
    }
    if (isSettled) this.#accounts.settle(everything)
  }

  /** Says which jobs are left that should not be. */
  async #reportLeft(world: World, error: unknown): Promise<false> {
    this.#report(error instanceof Error ? error.message : String(error))
    for (const stream of jobStreams) {
      for await (const {
        config,
        num_ack_pending: held,
        num_pending: pending,
      } of world.broker.jsm.consumers.list(stream)) {
        if (held + pending === 0) continue
        const query = { seq: 1, next_by_subj: config.filter_subject! } as { seq: number }
        const oldest = await world.broker.jsm.streams.getMessage(stream, query)
        const place = `${stream}:${oldest?.seq}`
        this.#report(
          `${stream} holds jobs of ${config.filter_subject}`,
          `${this.#accounts.describe(place)}, ${held} held, ${pending} pending`,
        )
      }
    }
    return false
  }

  async #lookAtTheEnd(
    world: World,
    supervisors: readonly Supervisor[],
    watch: Watch,
    threads: readonly number[],
  ): Promise<void> {
    const bySubject = new Map<string, number>()
    for (const stream of jobStreams) {
      const { state } = await world.broker.jsm.streams
        .info(stream, { subjects_filter: '>' })
        .catch(() => ({ state: { subjects: undefined } }))
      for (const [subject, count] of Object.entries(state.subjects ?? {}))
        bySubject.set(`${stream} ${subject}`, count)
    }
    for (const [subject, count] of this.#accounts.unclaimed) {
      if (bySubject.get(subject) !== count)
        this.#report(`${bySubject.get(subject)} jobs wait on ${subject}, expected are ${count}`)
    }
    const unclaimed = [...this.#accounts.unclaimed.values()].reduce((sum, count) => sum + count, 0)
    // Each makes its thread be replaced; on a machine that is not starved there is none.
    const { leaks } = watch
    if (leaks > mostLeaks) this.#report(`what ${leaks} jobs had left behind came to light too late`)
    let acks = 0
    for (const [index, supervisor] of supervisors.entries()) {
      await supervisor
        .metric('millrace_unclaimed_jobs', {}, unclaimed)
        .catch((error: unknown) => this.#report(String(error)))
      const metrics = await supervisor.metrics()
      const restarts = metrics.sum('millrace_thread_restarts_total')
      if (restarts > leaks || restarts !== metrics.sum('millrace_thread_restarts_total', { reason: 'leak' }))
        this.#report(`${restarts} threads were restarted`)
      if (metrics.sum('millrace_threads') !== threads[index])
        this.#report(`there are ${metrics.sum('millrace_threads')} threads instead of ${threads[index]}`)
      for (const name of [
        'millrace_stranded_jobs',
        'millrace_lease_lost_total',
        'millrace_nats_reconnects_total',
        'millrace_jobs_in_flight',
      ]) {
        if (metrics.sum(name) !== 0) this.#report(`${name} is ${metrics.sum(name)}`)
      }
      acks += metrics.sum('millrace_jobs_settled_total', { verdict: 'ack' })
    }
    if (acks !== this.#accounts.completed)
      this.#report(`${acks} jobs were acked as completed, expected are ${this.#accounts.completed}`)
    await watch.lookAtPages()
    await watch.look()
  }

  /** Findings that differ only in their example count as one. */
  #report(finding: string, example = ''): void {
    const known = this.#findings.get(finding)
    if (known) known.times += 1
    else if (this.#findings.size < findingsKept) {
      this.#findings.set(finding, { times: 1, example })
      this.#narrate(`FOUND: ${sentence(finding, example)}; seed ${this.#random.seed}`)
    }
  }
}

const settings = {
  MILLRACE_HANDLERS: `${projectRoot}/test/fixtures/handlers/fuzzed`,
  // Else it warns, and that is all it would have to say.
  UV_THREADPOOL_SIZE: '8',
  MILLRACE_JOB_LOGS: 'errors',
  // The deepest payloads keep a thread for seconds on a busy machine.
  MILLRACE_DEADLINE_MS: '300000',
  MILLRACE_MAX_ATTEMPTS: String(maxAttempts),
  MILLRACE_ATTEMPTS_LIMIT: String(attemptsLimit),
  MILLRACE_BACKOFF_BASE_MS: '5',
  MILLRACE_BACKOFF_MAX_MS: '5',
}

function sentence(finding: string, example: string): string {
  return example === '' ? finding : `${finding}, such as ${example}`
}

async function messagesIn(world: World, stream: string): Promise<number> {
  return (await world.broker.jsm.streams.info(stream).catch(() => undefined))?.state.messages ?? 0
}

async function threadCount(supervisor: Supervisor): Promise<number> {
  return (await supervisor.metrics()).sum('millrace_threads')
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1_000
}
