import type { AbortCode, PoolName } from '../core/handler-definition.ts'
import type { Clock } from '../engine/clock-port.ts'
import type { Engine } from '../engine/engine.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import type { LoadedHandler } from '../threads/handler-import.ts'
import { encodeReturned } from '../threads/return-value.ts'
import { CapturedContext, type ContextSink } from './captured-context.ts'
import { type LocalEnd, runLocally } from './local-attempt.ts'
import { LocalLane, type LocalRun } from './local-lane.ts'

// A test may replace the global one, and waiting for a handler is real.
const setRealTimeout = globalThis.setTimeout

export interface LocalPoolParts {
  readonly clock: Clock
  readonly engine: Engine
  readonly handlers: ReadonlyMap<string, LoadedHandler>
  /** How many jobs run at once in each pool. */
  readonly slots: ReadonlyMap<PoolName, number>
  readonly resultMaxBytes: number
  /** Where goes what the handler of a job says. */
  sinkOf(job: InFlightJob): ContextSink
  /** Before the engine hears of it. */
  ended(job: InFlightJob, end: LocalEnd | undefined): void
}

/** The threads of a supervisor in this thread: as many attempts at once as there are slots. */
export class LocalPool {
  /** Rises with everything that happens here. */
  activity = 0
  readonly #parts: LocalPoolParts
  readonly #runs = new Set<LocalRun>()
  readonly #lanes = new Set<LocalLane>()
  #threads = 0

  constructor(parts: LocalPoolParts) {
    this.#parts = parts
    for (const [pool, slots] of parts.slots) for (let slot = 0; slot < slots; slot += 1) this.#add(pool)
  }

  /**
   * Waits in real time until some handler that runs has ended, or something else `happens`; false when none runs, or none
   * has ended within `patienceMs`. Those are not waited for again until somebody tells them to stop.
   */
  async someEnd(patienceMs: number, happens: Promise<true>): Promise<boolean> {
    const awaited = [...this.#runs].filter((run) => !run.overdue)
    if (awaited.length === 0) return false
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>((resolve) => {
      timer = setRealTimeout(() => resolve(false), patienceMs)
    })
    const ended = await Promise.race([late, happens, ...awaited.map((run) => run.ended.then(() => true))])
    clearTimeout(timer)
    if (!ended) for (const run of awaited) run.overdue = true
    return ended
  }

  /** The process is gone: what comes of its handlers reaches nobody. */
  end(): void {
    for (const lane of this.#lanes) lane.close()
    this.#runs.clear()
  }

  #add(pool: PoolName): void {
    const { engine, clock } = this.#parts
    this.#threads += 1
    const lane = new LocalLane(this.#threads, pool, {
      now: () => clock.monotonicMs(),
      run: (job) => this.#run(job),
      isTooLate: (job) => clock.now() >= job.expiresAt,
      ended: (from, job, outcome, startedAt, end) => {
        this.activity += 1
        this.#parts.ended(job, end)
        if (outcome.kind === 'completed' && job.handler.profile.result) {
          job.returned = encodeReturned(end?.value, this.#parts.resultMaxBytes)
        }
        engine.fromPools.jobEnded(from, job, outcome, startedAt, clock.monotonicMs() - startedAt)
        engine.fromPools.resultsHandled()
      },
      killed: (from) => {
        this.activity += 1
        const { started, unstarted } = from.close()
        for (const { job } of started) this.#parts.ended(job, undefined)
        this.#lanes.delete(from)
        engine.fromPools.laneEnded(from, started, unstarted, undefined)
        this.#add(pool)
      },
    })
    this.#lanes.add(lane)
    engine.fromPools.laneReady(lane)
  }

  #run(job: InFlightJob): LocalRun {
    const { clock, handlers, sinkOf } = this.#parts
    this.activity += 1
    const context = new CapturedContext(
      {
        id: job.jobId,
        handler: job.handler.profile.name,
        attempt: job.attempt,
        maxAttempts: job.maxAttempts,
        enqueuedAt: new Date(job.enqueuedAt),
        headers: job.headers ?? {},
        subject: job.subject,
        sequence: job.sequence,
        redelivered: job.deliveries > 1,
      },
      new Date(clock.now() + job.deadlineMs),
      sinkOf(job),
    )
    const handler = handlers.get(job.handler.profile.name)!
    const run: LocalRun = {
      job,
      startedAt: clock.monotonicMs(),
      ended: runLocally(handler, context, job.data, job.json),
      overdue: false,
      signalled: false,
      abort: (code: AbortCode) => context.abort(code),
    }
    this.#runs.add(run)
    void run.ended.then(() => this.#runs.delete(run))
    return run
  }
}
