import type { Whereabouts } from '../core/whereabouts.ts'
import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Lane } from './lanes-port.ts'

/** On a shared thread the signal gets this much time to arrive, however short the grace. */
const signalMs = 10

/**
 * The longest that it takes to find out where a job is on its thread. A thread that runs JavaScript, or waits,
 * answers in 1 to 20 ms, on a machine with more to do than it can in up to 70; one in native code never does.
 */
export const examineMs = 250

/**
 * Enforces the deadline of every attempt with one timer.
 *
 * 1. When a job is posted, nothing can be due before now plus its deadline: the timer is set to the
 *    earliest such instant, so short jobs cost nothing.
 * 2. When it fires, the shared tables tell which jobs have begun, and when.
 * 3. At its deadline an attempt's signal is aborted; at the end of its grace its thread is killed.
 * 4. An attempt that was told of a cancel has its grace from then on.
 * 5. Before a thread is killed it is asked where the attempt is, in the last moments of the grace, so that the kill
 *    is on time; only a grace shorter than `examineMs` is extended, until the answer, and to no more than that.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #lanes: () => Iterable<Lane>
  readonly #examines: boolean
  #dueAt = Number.POSITIVE_INFINITY
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(clock: Clock, lanes: () => Iterable<Lane>, examines: boolean) {
    this.#clock = clock
    this.#lanes = lanes
    this.#examines = examines
  }

  /** A job with this deadline was posted now. */
  watch(deadlineMs: number): void {
    this.#arm(this.#clock.monotonicMs() + deadlineMs)
  }

  /** This attempt was told just now that its job is cancelled. */
  watchCancelled(job: InFlightJob, lane: Lane): void {
    const graceMs = graceOf(job, lane)
    const lookMs = this.#examines ? Math.max(0, graceMs - examineMs) : graceMs
    this.#arm(this.#clock.monotonicMs() + lookMs)
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
    this.#cancel = undefined
  }

  #arm(dueAt: number): void {
    if (dueAt >= this.#dueAt || this.#stopped) return
    this.#dueAt = dueAt
    this.#cancel?.()
    this.#cancel = this.#clock.after(Math.max(0, dueAt - this.#clock.monotonicMs()), () => this.#sweep())
  }

  #sweep(): void {
    this.#dueAt = Number.POSITIVE_INFINITY
    this.#cancel = undefined
    for (const lane of this.#lanes()) {
      if (lane.outstanding > 0 && lane.endReason === undefined) this.#sweepLane(lane)
    }
  }

  #sweepLane(lane: Lane): void {
    const now = this.#clock.monotonicMs()
    let next = Number.POSITIVE_INFINITY
    let overdue = false
    for (const job of lane.jobs()) {
      const startedAt = lane.startedAt(job)
      if (startedAt === undefined) {
        next = Math.min(next, now + job.deadlineMs)
        continue
      }
      const endAt = endOf(job, startedAt)
      if (now < endAt) {
        next = Math.min(next, endAt)
        continue
      }
      if (job.abortCode !== 'deadline' && job.abortCode !== 'cancelled') {
        job.abortCode = 'deadline'
        lane.abort(job, 'deadline')
      }
      const killAt = endAt + graceOf(job, lane)
      const examineAt = this.#examines ? Math.max(endAt, killAt - examineMs) : killAt
      if (now < examineAt) {
        next = Math.min(next, examineAt)
        continue
      }
      if (this.#examines && job.whereabouts === undefined) this.#examine(job, lane)
      if (now < killAt) next = Math.min(next, killAt)
      else if (job.whereabouts !== 'asked') overdue = true
    }
    if (overdue) this.#kill(lane, now)
    else if (next < Number.POSITIVE_INFINITY) this.#arm(next)
  }

  #examine(job: InFlightJob, lane: Lane): void {
    const { ticket } = job
    job.whereabouts = 'asked'
    const answered = (whereabouts: Whereabouts): void => {
      if (job.lane !== lane || job.ticket !== ticket) return
      job.whereabouts = whereabouts
      this.#arm(this.#clock.monotonicMs())
    }
    // Without any answer the thread would never be killed.
    lane.examine(job, examineMs).then(answered, () => answered({ kind: 'unknown' }))
  }

  /** Results that have arrived but were not looked at still count; then the thread has to go. */
  #kill(lane: Lane, now: number): void {
    lane.collect()
    const culprit = lane.jobs().find((job) => {
      const startedAt = lane.startedAt(job)
      const isOver = startedAt !== undefined && now >= endOf(job, startedAt) + graceOf(job, lane)
      return isOver && job.whereabouts !== 'asked'
    })
    if (culprit) lane.kill(culprit.abortCode === 'cancelled' ? 'cancelled' : 'deadline')
    else this.#arm(now + 1)
  }
}

/** When an attempt has to come to its end: at its deadline, or when it was cancelled before. */
function endOf(job: InFlightJob, startedAt: number): number {
  return job.abortCode === 'cancelled' ? job.cancelledAt : startedAt + job.deadlineMs
}

/** A signal that arrived is what tells an attempt that ignores it from one that a neighbour starves. */
function graceOf(job: InFlightJob, lane: Lane): number {
  const { graceMs } = job.handler.profile
  return lane.concurrency > 1 ? Math.max(signalMs, graceMs) : graceMs
}
