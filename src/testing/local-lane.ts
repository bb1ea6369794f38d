import type { AbortCode, PoolName } from '../core/handler-definition.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Whereabouts } from '../core/whereabouts.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import type { Lane, StartedJob, ThreadEnd } from '../engine/lanes-port.ts'
import type { LocalEnd } from './local-attempt.ts'

/** An attempt that runs in this thread. */
export interface LocalRun {
  readonly job: InFlightJob
  /** On the manual clock. */
  readonly startedAt: number
  /** Resolves when the handler has ended, which may be after everybody has given it up. */
  readonly ended: Promise<LocalEnd>
  /** Nobody waits for it in real time any more: time may pass before it ends. */
  overdue: boolean
  signalled: boolean
  abort(code: AbortCode): void
}

/** What a lane tells the pool. */
export interface LocalLaneHooks {
  now(): number
  /** Runs the handler of a job. */
  run(job: InFlightJob): LocalRun
  /** It would begin now, and must not any more. */
  isTooLate(job: InFlightJob): boolean
  ended(lane: LocalLane, job: InFlightJob, outcome: Outcome, startedAt: number, end?: LocalEnd): void
  killed(lane: LocalLane): void
}

/**
 * A thread without a thread: one job at a time, in this one.
 *
 * Being killed, it lets go of its handler. That goes on for as long as it likes, because nothing in this thread can
 * stop it, and what comes of it reaches nobody.
 */
export class LocalLane implements Lane {
  readonly threadId: number
  readonly pool: PoolName
  readonly concurrency = 1
  open = true
  endReason: ThreadEnd | undefined
  lastProgressAt = 0
  stalled = false
  backlogMs = 0
  readonly #hooks: LocalLaneHooks
  readonly #jobs = new Set<InFlightJob>()
  #running: LocalRun | undefined
  #scheduled = false
  #closed = false

  constructor(threadId: number, pool: PoolName, hooks: LocalLaneHooks) {
    this.threadId = threadId
    this.pool = pool
    this.#hooks = hooks
  }

  get outstanding(): number {
    return this.#jobs.size
  }

  put(job: InFlightJob): void {
    if (this.#jobs.size === 0) this.lastProgressAt = this.#hooks.now()
    job.lane = this
    job.handler.posted += 1
    this.backlogMs += job.estimateMs
    this.#jobs.add(job)
  }

  send(): void {
    this.#schedule()
  }

  /** It shares the supervisor's thread, and is not held up without it. */
  renewed(): void {}

  takeBack(job: InFlightJob): boolean {
    if (!this.#jobs.has(job) || this.#running?.job === job) return false
    this.#remove(job)
    return true
  }

  abort(job: InFlightJob, code: AbortCode): void {
    if (this.#running?.job !== job) return
    this.#running.signalled = true
    this.#running.overdue = false
    this.#running.abort(code)
  }

  startedAt(job: InFlightJob): number | undefined {
    return this.#running?.job === job ? this.#running.startedAt : undefined
  }

  /** Who asks shares the thread with the handler, which is not running then. */
  async examine(): Promise<Whereabouts> {
    return { kind: 'unknown' }
  }

  /** Results are handled as they come. */
  collect(): void {}

  endDone(): boolean {
    return false
  }

  kill(reason: ThreadEnd): void {
    if (!this.open) return
    this.endReason = reason
    this.open = false
    setImmediate(() => {
      // Its process may have ended meanwhile, and its jobs with it.
      if (!this.#closed) this.#hooks.killed(this)
    })
  }

  jobs(): InFlightJob[] {
    return [...this.#jobs]
  }

  /** Empties it for good: what had begun, and what had not. */
  close(): { started: StartedJob[]; unstarted: InFlightJob[] } {
    const running = this.#running
    this.#running = undefined
    this.open = false
    this.#closed = true
    const started = running
      ? [{ job: running.job, startedAt: running.startedAt, signalled: running.signalled, inside: false }]
      : []
    const unstarted = this.jobs().filter((job) => job !== running?.job)
    for (const job of this.jobs()) this.#remove(job)
    return { started, unstarted }
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#begin()
    })
  }

  #begin(): void {
    const [job] = this.#jobs
    if (!job || this.#running || !this.open) return
    if (this.#hooks.isTooLate(job)) {
      this.#end(job, { kind: 'expired' }, this.#hooks.now())
      return
    }
    const run = this.#hooks.run(job)
    this.#running = run
    void run.ended.then((end) => {
      if (this.#running !== run) return
      this.#running = undefined
      this.#end(job, end.outcome, run.startedAt, end)
    })
  }

  #end(job: InFlightJob, outcome: Outcome, startedAt: number, end?: LocalEnd): void {
    this.lastProgressAt = this.#hooks.now()
    this.stalled = false
    this.#remove(job)
    this.#hooks.ended(this, job, outcome, startedAt, end)
    this.#schedule()
  }

  #remove(job: InFlightJob): void {
    this.#jobs.delete(job)
    this.backlogMs = this.#jobs.size === 0 ? 0 : this.backlogMs - job.estimateMs
    job.handler.posted -= 1
    job.lane = undefined
  }
}
