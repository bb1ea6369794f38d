import type { AttemptError, Outcome } from '../core/outcome.ts'
import type { EngineParts } from './engine-parts.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Lane, PoolListener, StartedJob } from './lanes-port.ts'
import type { Observer } from './observer-port.ts'

/** Brings what the pools tell to the parts that it concerns, and keeps which threads are stuck. */
export class PoolEvents implements PoolListener {
  /** Called after each change of a thread that a drain may wait for. */
  onLaneChange: (() => void) | undefined
  readonly #parts: EngineParts
  readonly #observer: Observer
  readonly #stuck = new Set<Lane>()
  readonly #laneStuck: (stuckThreads: number) => void

  /** @param laneStuck - one more thread is stuck, so that there are so many. */
  constructor(parts: EngineParts, observer: Observer, laneStuck: (stuckThreads: number) => void) {
    this.#parts = parts
    this.#observer = observer
    this.#laneStuck = laneStuck
  }

  get stuckThreads(): number {
    return this.#stuck.size
  }

  isStuck(lane: Lane): boolean {
    return this.#stuck.has(lane)
  }

  laneReady(lane: Lane): void {
    this.#parts.pools.add(lane)
    this.#parts.threadless.laneReady(lane.pool)
  }

  jobEnded(lane: Lane, job: InFlightJob, outcome: Outcome, startedAt: number, durationMs: number): void {
    this.#parts.life.end.ended(job, outcome, { startedAt, durationMs, threadId: lane.threadId })
  }

  jobsLate(jobs: readonly InFlightJob[]): void {
    this.#parts.life.interruption.tooLateToBegin(jobs)
  }

  resultsHandled(): void {
    for (const dispatcher of this.#parts.pools.dispatchers.values()) dispatcher.schedule()
    this.onLaneChange?.()
  }

  laneEnded(
    lane: Lane,
    started: StartedJob[],
    unstarted: InFlightJob[],
    cause: AttemptError | undefined,
  ): void {
    this.#stuck.delete(lane)
    this.#parts.pools.remove(lane)
    const { endReason } = lane
    const culprit = started.find(({ job }) => job.abortCode === (endReason ?? 'deadline')) ?? started[0]
    if (culprit) culprit.job.threadId = lane.threadId
    if (cause || started.length > 0 || endReason === 'deadline' || endReason === 'cancelled') {
      this.#observer.threadKilled(lane, endReason ?? 'crash', culprit?.job)
    }
    this.#parts.life.interruption.laneEnded(lane, started, unstarted, cause)
    // What it ran had a place among the jobs of its handler, for which others may wait.
    this.#parts.pools.dispatchers.get(lane.pool)!.schedule()
    this.#parts.threadless.laneGone(lane.pool)
    this.#parts.pools.pullAll()
    this.onLaneChange?.()
  }

  laneStuck(lane: Lane): void {
    this.#stuck.add(lane)
    this.#parts.life.interruption.laneStuck(lane)
    this.#parts.threadless.laneGone(lane.pool)
    this.#laneStuck(this.#stuck.size)
    this.onLaneChange?.()
  }
}
