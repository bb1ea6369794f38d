import type { AttemptRecord } from '#src/core/attempt.js'
import type { DeadLetter, HeaderEntry } from '#src/core/dead-letter.js'
import type { AbortCode, PoolName } from '#src/core/handler-definition.js'
import { namesFor, type Priority } from '#src/core/names.js'
import type { DeadLetterPlace } from '#src/core/replay.js'
import type { Whereabouts } from '#src/core/whereabouts.js'
import type { Broker, Delivery, JobPlace, Outstanding, RecordPlace } from '#src/engine/broker-port.js'
import type { Clock } from '#src/engine/clock-port.js'
import { Engine } from '#src/engine/engine.js'
import type { EngineOptions } from '#src/engine/engine-parts.js'
import type { HandlerProfile } from '#src/engine/handler-profile.js'
import { HandlerState } from '#src/engine/handler-state.js'
import { InFlightJob } from '#src/engine/in-flight-job.js'
import type { Lane, PoolListener, ThreadEnd } from '#src/engine/lanes-port.js'
import type { Observer } from '#src/engine/observer-port.js'
import { ManualClock, settled } from '#src/testing/manual-clock.js'
import { FakeSharedState } from './fake-shared-state.ts'
import { FakeTicks } from './fake-ticks.ts'

export { ManualClock, settled }

const names = namesFor('jobs')

/** A promise that a test settles when it likes. */
export class Gate {
  readonly #waiting: { resolve: () => void; reject: (error: Error) => void }[] = []

  get waiting(): number {
    return this.#waiting.length
  }

  enter(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** Lets the one through that waits longest. */
  async open(): Promise<void> {
    this.#waiting.shift()!.resolve()
    await settled()
  }

  async refuse(error = new Error('refused')): Promise<void> {
    this.#waiting.shift()!.reject(error)
    await settled()
  }
}

/** A broker that notes what it is asked, one line each, in order. */
export class FakeBroker implements Broker {
  connected = true
  epoch = 1
  readonly calls: string[] = []
  /** By sequence alone: tests with several streams look at the calls. */
  readonly records = new Map<number, AttemptRecord>()
  readonly letters: { letter: DeadLetter; headers: readonly HeaderEntry[]; data: Uint8Array }[] = []
  /** When set, requests of that kind wait until the test lets them through. */
  barrierGate: Gate | undefined
  readGate: Gate | undefined
  writeGate: Gate | undefined
  forgetGate: Gate | undefined
  letterGate: Gate | undefined
  outcomeGate: Gate | undefined
  claimGate: Gate | undefined
  /** Which job stands for the replay of which dead letter. */
  readonly claims = new Map<string, string>()
  /** What was kept of jobs that ended, by id. */
  readonly outcomes = new Map<string, Record<string, unknown>>()
  /** When set, the bucket cannot be reached. */
  bucketError: Error | undefined
  /** Handlers whose acks the server has not worked off. */
  readonly behind = new Set<string>()
  /** So many dead letters are refused. */
  refusals = 0

  /** The calls since the last look, without those whose first word is left out. */
  take(...leaveOut: string[]): string[] {
    return this.calls.splice(0).filter((call) => !leaveOut.includes(call.split(' ', 1)[0]!))
  }

  /** How many jobs of a handler were asked for since the calls were last taken, of every priority. */
  asked(handler: string): number {
    return this.calls
      .map((call) => call.split(' '))
      .filter(([verb, name]) => verb === 'pull' && name === handler)
      .reduce((sum, [, , count]) => sum + Number(count), 0)
  }

  pull(handler: string, priority: Priority, count: number): void {
    this.calls.push(`pull ${handler} ${count}${priority === 'normal' ? '' : ` ${priority}`}`)
  }

  isBehind(handler: string): boolean {
    return this.behind.has(handler)
  }

  ack(reply: string): void {
    this.calls.push(`ack ${reply}`)
  }

  nak(reply: string, delayMs: number): void {
    this.calls.push(`nak ${reply} ${delayMs}`)
  }

  extend(reply: string): void {
    this.calls.push(`extend ${reply}`)
  }

  async barrier(): Promise<void> {
    this.calls.push('barrier')
    await this.barrierGate?.enter()
  }

  async publishDeadLetter(
    letter: DeadLetter,
    headers: readonly HeaderEntry[],
    data: Uint8Array,
  ): Promise<void> {
    this.calls.push(`dead ${letter.sequence} ${letter.reason}`)
    await this.letterGate?.enter()
    if (this.refusals > 0) {
      this.refusals -= 1
      throw new Error('the stream is full')
    }
    this.letters.push({ letter, headers, data })
  }

  /** Jobs that had a record when the connection was made. */
  readonly known = new Set<number>()

  mayHaveRecord(_stream: string, sequence: number): boolean {
    return this.known.has(sequence)
  }

  async readRecord(_stream: string, sequence: number): Promise<AttemptRecord | undefined> {
    this.calls.push(`read ${sequence}`)
    await this.readGate?.enter()
    if (this.bucketError) throw this.bucketError
    return this.records.get(sequence)
  }

  async writeRecord(_stream: string, sequence: number, record: AttemptRecord): Promise<void> {
    this.calls.push(`write ${sequence} released=${record.released} failures=${record.failures}`)
    await this.writeGate?.enter()
    if (this.bucketError) throw this.bucketError
    this.records.set(sequence, record)
  }

  async releaseRecord(_stream: string, sequence: number, deliveries: number): Promise<void> {
    this.calls.push(deliveries === 1 ? `release ${sequence}` : `release ${sequence} × ${deliveries}`)
    if (this.bucketError) throw this.bucketError
    const record = this.records.get(sequence) ?? { released: 0, failures: 0, history: [] }
    this.records.set(sequence, { ...record, released: record.released + deliveries })
  }

  async forgetRecords(places: readonly RecordPlace[]): Promise<void> {
    for (const { sequence } of places) this.calls.push(`forget ${sequence}`)
    await this.forgetGate?.enter()
    for (const { sequence } of places) this.records.delete(sequence)
  }

  /** Jobs that the stream does not have any more. */
  readonly settledElsewhere = new Set<number>()

  async isStored(_stream: string, sequence: number): Promise<boolean> {
    if (this.bucketError) throw this.bucketError
    return !this.settledElsewhere.has(sequence)
  }

  async claimReplay(letter: DeadLetterPlace, job: JobPlace): Promise<boolean> {
    this.calls.push(`claim ${letter.sequence} ${job.sequence}`)
    await this.claimGate?.enter()
    if (this.bucketError) throw this.bucketError
    const key = JSON.stringify(letter)
    const place = `${job.stream}:${job.sequence}:${job.storedAt}`
    if (!this.claims.has(key)) this.claims.set(key, place)
    return this.claims.get(key) === place
  }

  async storeOutcome(jobId: string, entry: string): Promise<void> {
    this.calls.push(`outcome ${jobId}`)
    await this.outcomeGate?.enter()
    if (this.bucketError) throw this.bucketError
    this.outcomes.set(jobId, JSON.parse(entry) as Record<string, unknown>)
  }

  /** What the broker has handed out; by default nothing, so that nothing is elsewhere. */
  outstanding: () => Outstanding = () => ({ deliveries: 0, otherPulls: 0 })

  async readOutstanding(): Promise<Outstanding> {
    return this.outstanding()
  }
}

/** An observer that notes what it is told, one line each, in order. */
export class FakeObserver implements Observer {
  readonly said: string[] = []

  /** What was said since the last look; with words, only the lines that begin with one of them. */
  take(...only: string[]): string[] {
    return this.said.splice(0).filter((line) => only.length === 0 || only.includes(line.split(' ', 1)[0]!))
  }

  started(job: InFlightJob): void {
    this.said.push(`started ${job.jobId} attempt=${job.attempt} thread=${job.threadId}`)
  }

  ended(job: InFlightJob, outcome: string, durationMs: number, waitMs: number): void {
    this.said.push(`ended ${job.jobId} ${outcome} duration=${durationMs} wait=${waitMs}`)
  }

  settled(job: InFlightJob, verdict: string): void {
    this.said.push(`settled ${job.jobId} ${verdict}`)
  }

  retrying(job: InFlightJob, delayMs: number, error: { code: string }): void {
    this.said.push(`retrying ${job.jobId} delay=${delayMs} ${error.code}`)
  }

  deadLettered(job: InFlightJob, reason: string, error: { code: string } | undefined): void {
    this.said.push(`deadLettered ${job.jobId} ${reason} ${error?.code}`)
  }

  deadLetterRefused(job: InFlightJob): void {
    this.said.push(`deadLetterRefused ${job.jobId}`)
  }

  leaseLost(job: InFlightJob): void {
    this.said.push(`leaseLost ${job.jobId}`)
  }

  heartbeatLate(lateMs: number): void {
    this.said.push(`heartbeatLate ${lateMs}`)
  }

  duplicateSuppressed(handler: string): void {
    this.said.push(`duplicateSuppressed ${handler}`)
  }

  acksRepeated(handler: string, count: number): void {
    this.said.push(`acksRepeated ${handler} ${count}`)
  }

  clamped(job: InFlightJob, header: string, asked: number, limit: number): void {
    this.said.push(`clamped ${job.jobId} ${header} ${asked}>${limit}`)
  }

  threadKilled(lane: Lane, reason: ThreadEnd): void {
    this.said.push(`threadKilled ${lane.threadId} ${reason}`)
  }

  handlerRests(handler: string, delayMs: number, crashes: number): void {
    this.said.push(`handlerRests ${handler} ${delayMs} ${crashes}`)
  }

  poolThreadless(pool: string, threadless: boolean): void {
    this.said.push(`${threadless ? 'poolThreadless' : 'poolReady'} ${pool}`)
  }

  handlerPaused(handler: string, paused: boolean): void {
    this.said.push(`${paused ? 'handlerPaused' : 'handlerResumed'} ${handler}`)
  }

  handlerOwned(handler: string, claim: string): void {
    this.said.push(`handlerOwned ${handler} ${claim}`)
  }

  handlerOnStandby(handler: string, owner: string): void {
    this.said.push(`handlerOnStandby ${handler} ${owner}`)
  }

  recordUnavailable(error: unknown): void {
    this.said.push(`recordUnavailable ${(error as Error).message}`)
  }

  limitUnavailable(handler: string, error: unknown): void {
    this.said.push(`limitUnavailable ${handler} ${(error as Error).message}`)
  }

  limitWaits(handler: string, count: number): void {
    this.said.push(`limitWaits ${handler} ${count}`)
  }

  delayed(job: InFlightJob, dueAt: number): void {
    this.said.push(`delayed ${job.jobId} until=${new Date(dueAt).toISOString()}`)
  }

  delayRefused(error: unknown): void {
    this.said.push(`delayRefused ${(error as Error).message}`)
  }

  resultUnusable(job: InFlightJob, error: { code: string }): void {
    this.said.push(`resultUnusable ${job.jobId} ${error.code}`)
  }

  resultLost(job: InFlightJob): void {
    this.said.push(`resultLost ${job.jobId}`)
  }
}

/** A thread without a thread: tests say what has begun and what has ended. */
export class FakeLane implements Lane {
  readonly threadId: number
  readonly pool: PoolName
  readonly concurrency: number
  readonly #clock: Clock
  open = true
  endReason: ThreadEnd | undefined
  lastProgressAt = 0
  stalled = false
  backlogMs = 0
  /** What each message brought. */
  readonly batches: InFlightJob[][] = []
  readonly aborted: { job: InFlightJob; code: AbortCode }[] = []
  /** Who was asked for; a test says what is found. */
  readonly examined: { job: InFlightJob; found(where: Whereabouts): void; fail(): void }[] = []
  /** Called by `collect`, where a test can let results arrive. */
  onCollect: () => void = () => {}
  readonly #jobs = new Set<InFlightJob>()
  readonly #begun = new Map<InFlightJob, number>()
  #unsent: InFlightJob[] = []

  constructor(clock: Clock, options: { threadId?: number; pool?: PoolName; concurrency?: number } = {}) {
    this.#clock = clock
    this.threadId = options.threadId ?? 1
    this.pool = options.pool ?? 'cpu'
    this.concurrency = options.concurrency ?? 1
  }

  get outstanding(): number {
    return this.#jobs.size
  }

  put(job: InFlightJob): void {
    if (this.#jobs.size === 0) this.lastProgressAt = this.#clock.monotonicMs()
    job.lane = this
    job.handler.posted += 1
    this.backlogMs += job.estimateMs
    this.#jobs.add(job)
    this.#unsent.push(job)
  }

  send(): void {
    this.batches.push(this.#unsent)
    this.#unsent = []
  }

  renewed(): void {}

  takeBack(job: InFlightJob): boolean {
    if (!this.#jobs.has(job) || this.#begun.has(job)) return false
    this.remove(job)
    return true
  }

  abort(job: InFlightJob, code: AbortCode): void {
    this.aborted.push({ job, code })
  }

  startedAt(job: InFlightJob): number | undefined {
    return this.#begun.get(job)
  }

  collect(): void {
    this.onCollect()
  }

  endDone(): boolean {
    return false
  }

  examine(job: InFlightJob): Promise<Whereabouts> {
    return new Promise((resolve, reject) =>
      this.examined.push({ job, found: resolve, fail: () => reject(new Error('it cannot be asked')) }),
    )
  }

  kill(reason: ThreadEnd): void {
    this.endReason ??= reason
    this.open = false
  }

  jobs(): InFlightJob[] {
    return [...this.#jobs]
  }

  /** The thread begins this job now. */
  begin(job: InFlightJob): void {
    this.#begun.set(job, this.#clock.monotonicMs())
  }

  /** The job leaves its slot. */
  remove(job: InFlightJob): void {
    this.#jobs.delete(job)
    this.#begun.delete(job)
    this.backlogMs = this.#jobs.size === 0 ? 0 : this.backlogMs - job.estimateMs
    job.handler.posted -= 1
    job.lane = undefined
  }
}

/** A handler's profile: two attempts more than one, and a backoff without chance. */
export function profile(overrides: Partial<HandlerProfile> = {}): HandlerProfile {
  return {
    name: 'a',
    pool: 'cpu',
    deadlineMs: 10_000,
    graceMs: 500,
    retry: {
      maxAttempts: 3,
      backoff: { kind: 'exponential', baseMs: 1_000, factor: 2, maxMs: 60_000, jitter: 'none' },
    },
    concurrency: Number.POSITIVE_INFINITY,
    maxInFlight: Number.POSITIVE_INFINITY,
    rateLimit: undefined,
    result: false,
    ...overrides,
  }
}

export function handlerState(overrides: Partial<HandlerProfile> = {}): HandlerState {
  return new HandlerState(profile(overrides), 0)
}

/** The arrival of job `sequence`; `reply` tells deliveries apart: `r<sequence>.<deliveries>`. */
export function delivery(sequence: number, overrides: Partial<Delivery> = {}): Delivery {
  const { handler = 'a', deliveries = 1, priority = 'normal' } = overrides
  return {
    handler,
    priority,
    stream: names.streamOf(priority),
    subject: names.jobSubject(handler, priority),
    sequence,
    deliveries,
    pending: 0,
    storedAt: Date.UTC(2026, 0, 1),
    reply: `r${sequence}.${deliveries}`,
    data: new Uint8Array(),
    headers: undefined,
    headerProblem: undefined,
    headersUnread: 0,
    ...overrides,
  }
}

/** A job as it is after its arrival at monotonic instant `now`. */
export function heldJob(
  sequence: number,
  options: { handler?: HandlerState; now?: number } & Partial<Omit<Delivery, 'handler'>> = {},
): InFlightJob {
  const { handler = handlerState(), now = 0, ...rest } = options
  return new InFlightJob(delivery(sequence, { handler: handler.profile.name, ...rest }), handler, now)
}

export const ackWaitMs = 30_000

/** A whole engine on fakes. */
export function fakeEngine(
  overrides: Partial<Omit<EngineOptions, 'handlers'>> & {
    handlers?: readonly Partial<HandlerProfile>[]
  } = {},
) {
  const clock = new ManualClock()
  const broker = new FakeBroker()
  const observer = new FakeObserver()
  const ticks = new FakeTicks()
  const shared = new FakeSharedState(clock)
  let restarts = 0
  const { handlers = [{}], ...rest } = overrides
  const engine = new Engine({
    broker,
    shared,
    clock,
    observer,
    ticks,
    tickObserver: ticks,
    random: () => 0.5,
    supervisorId: 's1',
    rooms: new Map<PoolName, { threads: number; concurrency: number }>([
      ['cpu', { threads: 2, concurrency: 1 }],
      ['io', { threads: 1, concurrency: 10 }],
    ]),
    ackWaitMs,
    limits: { deadlineLimitMs: 60_000, attemptsLimit: 10 },
    stuckLimit: 1,
    restartWanted: () => {
      restarts += 1
    },
    ...rest,
    handlers: handlers.map((each) => profile(each)),
  })
  let threads = 0
  return {
    clock,
    broker,
    shared,
    observer,
    ticks,
    engine,
    get restarts() {
      return restarts
    },
    /** One more thread that is ready for jobs. */
    addLane(options: { pool?: PoolName; concurrency?: number } = {}): FakeLane {
      threads += 1
      const lane = new FakeLane(clock, { threadId: threads, ...options })
      engine.fromPools.laneReady(lane)
      return lane
    },
    /** Delivers, and waits until the job is where it goes. */
    async deliver(sequence: number, options: Partial<Delivery> = {}): Promise<InFlightJob | undefined> {
      engine.fromBroker.delivered(delivery(sequence, options))
      await settled()
      return engine.inFlight.find(names.streamOf(options.priority ?? 'normal'), sequence)
    },
    /** The thread reports how this job ended. */
    async end(
      lane: FakeLane,
      job: InFlightJob,
      outcome: Parameters<PoolListener['jobEnded']>[2],
      durationMs = 1,
    ): Promise<void> {
      const startedAt = lane.startedAt(job) ?? clock.monotonicMs()
      // As with a real thread: who reports is not stalled.
      lane.stalled = false
      lane.remove(job)
      engine.fromPools.jobEnded(lane, job, outcome, startedAt, durationMs)
      engine.fromPools.resultsHandled()
      await settled()
    },
    /** The thread is gone, with what was on it. */
    async endLane(
      lane: FakeLane,
      cause?: Parameters<PoolListener['laneEnded']>[3],
      about: { signalled?: readonly InFlightJob[]; inside?: InFlightJob } = {},
    ): Promise<void> {
      lane.open = false
      const started = lane
        .jobs()
        .filter((job) => lane.startedAt(job) !== undefined)
        .map((job) => ({
          job,
          startedAt: lane.startedAt(job)!,
          signalled: about.signalled?.includes(job) ?? false,
          inside: about.inside === job,
        }))
      const unstarted = lane.jobs().filter((job) => lane.startedAt(job) === undefined)
      for (const job of lane.jobs()) lane.remove(job)
      engine.fromPools.laneEnded(lane, started, unstarted, cause)
      await settled()
    },
  }
}
