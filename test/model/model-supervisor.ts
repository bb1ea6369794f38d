import type { AttemptError, Outcome } from '#src/core/outcome.js'
import { Engine } from '#src/engine/engine.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import type { MemoryBroker } from '#src/testing/memory-broker.js'
import { FakeLane, FakeObserver, profile } from '../support/fake-engine-parts.ts'
import { FakeSharedState } from '../support/fake-shared-state.ts'
import { FakeTicks } from '../support/fake-ticks.ts'
import type { ModelClock, Timers } from './model-clock.ts'
import { type LinkWatcher, ModelLink } from './model-link.ts'
import { names } from './model-nats.ts'

/** The scaled-down times of the model; their order is that of the defaults. */
export const times = { ackWaitMs: 3_000, deadlineMs: 1_500, graceMs: 100, drainMs: 1_000 }

export const handlerName = 'a'

/** Ways in which a handler can end, the process included. */
export const endings = [
  'complete',
  'fail',
  'permanent',
  'hang',
  'snooze',
  'thread crash',
  'process crash',
] as const
export type Ending = (typeof endings)[number]

/** An attempt on a thread of the model. */
export interface ModelRun {
  readonly lane: FakeLane
  readonly job: InFlightJob
  /** Decided, and not to be asked again: it runs into its deadline. */
  hangs: boolean
}

/** One supervisor process: the real engine, on threads and a connection that the explorer moves. */
export class ModelSupervisor {
  readonly name: string
  readonly timers: Timers
  readonly link: ModelLink
  readonly engine: Engine
  readonly observer = new FakeObserver()
  /** What runs, the earliest first. */
  runs: ModelRun[] = []
  /** It was asked to stop. */
  stopping = false
  /** It has come to its end. */
  stopped = false
  readonly #concurrency: number
  #lanes: FakeLane[] = []
  #threads = 0

  constructor(
    name: string,
    clock: ModelClock,
    broker: MemoryBroker,
    watcher: LinkWatcher,
    options: { maxAttempts: number; concurrency: number },
  ) {
    this.name = name
    this.timers = clock.forProcess()
    this.link = new ModelLink(name, broker, this.timers, watcher)
    this.#concurrency = options.concurrency
    const ticks = new FakeTicks()
    this.engine = new Engine({
      broker: this.link,
      shared: new FakeSharedState(),
      clock: this.timers,
      observer: this.observer,
      ticks,
      tickObserver: ticks,
      random: () => 0.5,
      supervisorId: name,
      rooms: new Map([['cpu', { threads: 1, concurrency: options.concurrency }]]),
      ackWaitMs: times.ackWaitMs,
      limits: { deadlineLimitMs: 60_000, attemptsLimit: 10 },
      stuckLimit: 1,
      // The tables of a real one are most of what a run would cost.
      finishedSlots: 64,
      restartWanted: () => {},
      handlers: [
        profile({
          name: handlerName,
          deadlineMs: times.deadlineMs,
          graceMs: times.graceMs,
          retry: {
            maxAttempts: options.maxAttempts,
            backoff: { kind: 'exponential', baseMs: 500, factor: 2, maxMs: 60_000, jitter: 'none' },
          },
        }),
      ],
    })
  }

  start(): void {
    this.link.listener = this.engine.fromBroker
    this.engine.start()
    this.#addLane()
    this.engine.parts.pools.pullAll()
  }

  /** A graceful stop, as at SIGTERM. */
  stop(): void {
    this.stopping = true
    const { timers, link } = this
    // What was pulled may still come until the pulls expire.
    const pullsEnded = new Promise<void>((resolve) =>
      timers.after(times.drainMs, () => {
        link.credit = 0
        resolve()
      }),
    )
    void this.engine.drain({ drainMs: times.drainMs, hurry: new Promise(() => {}), pullsEnded }).then(() => {
      this.stopped = true
    })
  }

  held(sequence: number): InFlightJob | undefined {
    return this.engine.inFlight.find(names.jobStream, sequence)
  }

  isRunning(sequence: number): boolean {
    return this.runs.some(({ job }) => job.sequence === sequence)
  }

  /** Lets threads begin what was posted to them; returns what began. */
  begin(): ModelRun[] {
    const begun: ModelRun[] = []
    for (const lane of this.#lanes) {
      if (!lane.open) continue
      let room = lane.concurrency - lane.jobs().filter((job) => lane.startedAt(job) !== undefined).length
      for (const job of lane.jobs()) {
        if (room === 0) break
        if (lane.startedAt(job) !== undefined) continue
        room -= 1
        lane.begin(job)
        const run = { lane, job, hangs: false }
        this.runs.push(run)
        begun.push(run)
      }
    }
    return begun
  }

  /** The thread reports how an attempt ended. */
  report(run: ModelRun, outcome: Outcome): void {
    const { lane, job } = run
    const startedAt = lane.startedAt(job)!
    this.runs = this.runs.filter((other) => other !== run)
    lane.remove(job)
    this.engine.fromPools.jobEnded(lane, job, outcome, startedAt, 200)
    this.engine.fromPools.resultsHandled()
  }

  /** A thread that was told to end, if there is one. */
  get endedLane(): FakeLane | undefined {
    return this.#lanes.find((lane) => lane.endReason !== undefined)
  }

  /** A thread is gone, and a new one is there; returns what ran on it. */
  endLane(lane: FakeLane, cause?: AttemptError): ModelRun[] {
    lane.open = false
    this.#lanes = this.#lanes.filter((other) => other !== lane)
    const begun = this.runs.filter((run) => run.lane === lane)
    this.runs = this.runs.filter((run) => run.lane !== lane)
    const started = begun.map(({ job }) => ({
      job,
      startedAt: lane.startedAt(job)!,
      signalled: lane.aborted.some((abort) => abort.job === job),
      inside: false,
    }))
    const unstarted = lane.jobs().filter((job) => lane.startedAt(job) === undefined)
    for (const job of lane.jobs()) lane.remove(job)
    this.engine.fromPools.laneEnded(lane, started, unstarted, cause)
    this.#addLane()
    return begun
  }

  /** The process is gone. */
  end(clock: ModelClock): void {
    clock.end(this.timers)
    this.link.end()
    this.runs = []
  }

  /** What is left although nothing is to be done; empty when all is well. */
  leftovers(): string[] {
    const { inFlight, parts } = this.engine
    const left: string[] = []
    if (inFlight.size > 0) left.push(`${inFlight.size} in flight`)
    if (parts.receipts.outstanding > 0) left.push(`${parts.receipts.outstanding} receipts outstanding`)
    for (const { held, posted, parked, moving } of this.engine.handlers) {
      if (held !== 0) left.push(`${held} held`)
      if (posted !== 0) left.push(`${posted} posted`)
      if (parked !== 0) left.push(`${parked} parked`)
      if (moving !== 0) left.push(`${moving} moving`)
    }
    return left
  }

  #addLane(): void {
    this.#threads += 1
    const lane = new FakeLane(this.timers, { threadId: this.#threads, concurrency: this.#concurrency })
    this.#lanes.push(lane)
    this.engine.fromPools.laneReady(lane)
  }
}
