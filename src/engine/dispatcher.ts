import type { PoolName } from '../core/handler-definition.ts'
import { type Priority, priorities } from '../core/names.ts'
import type { Clock } from './clock-port.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import { patienceMs } from './job-source.ts'
import type { Lane } from './lanes-port.ts'
import { LevelShare } from './level-share.ts'
import { horizonMs, WaitingJobs } from './waiting-jobs.ts'

/** The most jobs posted ahead to one thread, and in one message. */
export const aheadLimit = 511
const batchLimit = 256
/** Waking a thread for less work than this costs more than it saves. */
const wakeMs = 1
/** A thread with less work than this is as good as free, and better than one that sleeps. */
const almostFreeMs = 0.1
/** A thread that holds unbegun jobs and reports nothing for this long has to give them back. */
const stallMs = 30
/** A thread that has not reported what was done this long ago does not turn its event loop. */
const blockedMs = 1_000

/**
 * Brings the waiting jobs of one pool to its threads.
 *
 * 1. A thread with a free slot gets what waits at once, shared out evenly among such threads.
 * 2. A busy thread gets jobs ahead of its turn, as long as they add up to at most 30 ms of measured run
 *    time; many at a time when they are short, because each message costs a wake-up.
 * 3. Higher priorities go first, except for a minimum share of the lower ones (`level-share.ts`). A lower one
 *    does not take a slot that a higher one on its way from the broker will want in a moment.
 * 4. Within a priority, handlers take turns.
 * 5. What was posted ahead to a thread that then reports nothing for 30 ms is taken back, so that it
 *    never waits behind a slow job. What was done before that job began is not told to us either; a second after
 *    its end it counts as completed.
 */
export class Dispatcher {
  readonly pool: PoolName
  readonly lanes: Lane[] = []
  readonly #clock: Clock
  readonly #posted: (jobs: readonly InFlightJob[]) => void
  readonly #takenBack: (jobs: readonly InFlightJob[]) => void
  readonly #expectedAbove: (priority: Priority) => number
  readonly #levels = { high: new WaitingJobs(), normal: new WaitingJobs(), low: new WaitingJobs() }
  readonly #share = new LevelShare()
  #freeSlots = 0
  /** How many jobs of a higher priority are on their way. */
  readonly #expected = { normal: 0, low: 0 }
  #lookingAgain = false
  #scheduled = false
  #watching = false

  constructor(
    pool: PoolName,
    clock: Clock,
    hooks: {
      posted: (jobs: readonly InFlightJob[]) => void
      /** Decides what becomes of jobs that were posted ahead in vain; usually they come back with `addFirst`. */
      takenBack: (jobs: readonly InFlightJob[]) => void
      /** How many jobs of a higher priority are on their way from the broker. */
      expectedAbove?: (priority: Priority) => number
    },
  ) {
    this.pool = pool
    this.#clock = clock
    this.#posted = hooks.posted
    this.#takenBack = hooks.takenBack
    this.#expectedAbove = hooks.expectedAbove ?? (() => 0)
  }

  get waiting(): number {
    const { high, normal, low } = this.#levels
    return high.length + normal.length + low.length
  }

  add(job: InFlightJob): void {
    this.#levels[job.source.priority].add(job)
    this.schedule()
  }

  /** Puts jobs back before everything else of their handlers and their priority. */
  addFirst(jobs: readonly InFlightJob[]): void {
    for (const priority of priorities) {
      const some = jobs.filter((job) => job.source.priority === priority)
      if (some.length > 0) this.#levels[priority].addFirst(some)
    }
    this.schedule()
  }

  /** Takes a job out that has not been posted. */
  remove(job: InFlightJob): boolean {
    return this.#levels[job.source.priority].remove(job)
  }

  /** Takes out everything that has not been posted, or what there is of one handler. */
  takeAll(handler?: HandlerState): InFlightJob[] {
    return priorities.flatMap((priority) => this.#levels[priority].takeAll(handler))
  }

  /** Dispatches at the end of the current synchronous work, so that what arrives together goes together. */
  schedule(): void {
    if (this.#scheduled || this.waiting === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#dispatch()
    })
  }

  #dispatch(): void {
    this.#countFree()
    const free = this.lanes.filter((lane) => takes(lane) && isFree(lane))
    free.sort((a, b) => (a.concurrency === 1 ? b.backlogMs - a.backlogMs : a.outstanding - b.outstanding))
    for (const [index, lane] of free.entries()) {
      if (this.waiting === 0) return
      this.#fill(lane, Math.max(this.#worthWaking(), Math.ceil(this.waiting / (free.length - index))))
    }
    if (this.waiting === 0) return
    for (const lane of this.lanes) {
      if (this.waiting === 0) return
      if (takes(lane) && lane.outstanding > 0 && this.#worthPosting(lane)) this.#fill(lane, this.waiting)
    }
  }

  /** So many of the waiting jobs run in less time than another thread takes to wake up. */
  #worthWaking(): number {
    const { high, normal, low } = this.#levels
    const shortest = Math.min(high.shortestMs, normal.shortestMs, low.shortestMs)
    return Math.floor(wakeMs / Math.max(shortest, 0.001))
  }

  /** A busy thread is sent jobs in large batches, or when it is about to run dry. */
  #worthPosting(lane: Lane): boolean {
    const averageMs = lane.backlogMs / lane.outstanding
    const ahead = aheadOf(averageMs, lane.concurrency)
    if (ahead === 0) return false
    return (
      this.waiting >= Math.min(64, ahead >> 1) ||
      lane.outstanding <= lane.concurrency + Math.min(4, ahead >> 2)
    )
  }

  #fill(lane: Lane, most: number): void {
    const batch: InFlightJob[] = []
    const wanted = Math.min(most, batchLimit)
    while (batch.length < wanted) {
      const job = this.#take(lane)
      if (!job) break
      lane.put(job)
      batch.push(job)
    }
    if (batch.length === 0) return
    lane.send()
    this.#posted(batch)
    if (lane.outstanding > 1) this.#watchStalls()
  }

  /** The next job that this thread may have. */
  #take(lane: Lane): InFlightJob | undefined {
    if (lane.outstanding - lane.concurrency >= aheadLimit) return undefined
    const { normal, low } = this.#levels
    for (const priority of this.#share.order) {
      const level = this.#levels[priority]
      if (level.length === 0 || this.#keepsFree(priority)) continue
      const job = level.take(lane)
      if (job) {
        this.#share.took(priority, normal.length > 0, low.length > 0)
        if (lane.outstanding < lane.concurrency) this.#freeSlots -= 1
        return job
      }
      // It needs a free slot, and gets none as long as others are posted to the thread before it.
      if (level.tooLong) return undefined
    }
    return undefined
  }

  /** The free slots are left to jobs of a higher priority that are on their way. */
  #keepsFree(priority: Priority): boolean {
    if (priority === 'high' || this.#expected[priority] === 0) return false
    if (this.#freeSlots > this.#expected[priority] || this.#share.isDue(priority)) return false
    this.#lookAgain()
    return true
  }

  /** How many slots are free, and how many of them are wanted by jobs that are on their way. */
  #countFree(): void {
    const { normal, low } = this.#levels
    this.#expected.normal = normal.length > 0 ? this.#expectedAbove('normal') : 0
    this.#expected.low = low.length > 0 ? this.#expectedAbove('low') : 0
    if (this.#expected.normal + this.#expected.low === 0) return
    this.#freeSlots = 0
    for (const lane of this.lanes) {
      if (takes(lane)) this.#freeSlots += Math.max(0, lane.concurrency - lane.outstanding)
    }
  }

  /** What is on its way may not come after all. */
  #lookAgain(): void {
    if (this.#lookingAgain) return
    this.#lookingAgain = true
    this.#clock.after(patienceMs, () => {
      this.#lookingAgain = false
      this.schedule()
    })
  }

  #watchStalls(): void {
    if (this.#watching) return
    this.#watching = true
    this.#clock.after(stallMs, () => {
      this.#watching = false
      this.#takeBackStalled()
    })
  }

  #takeBackStalled(): void {
    const now = this.#clock.monotonicMs()
    let ahead = false
    for (const lane of this.lanes) {
      if (lane.outstanding <= 1) continue
      if (now - lane.lastProgressAt < stallMs) {
        ahead = true
        continue
      }
      lane.collect()
      if (lane.endDone(now - blockedMs)) ahead = true
      // Without a job that has been running for long, the thread has merely not woken up yet.
      const slow = lane.jobs().some((job) => now - (lane.startedAt(job) ?? now) >= stallMs)
      const taken = slow ? lane.jobs().filter((job) => lane.takeBack(job)) : []
      if (!slow) ahead = true
      if (taken.length === 0) continue
      lane.stalled = true
      this.#takenBack(taken)
    }
    if (ahead) this.#watchStalls()
  }
}

/** It has a free slot, or will have one sooner than another thread could wake up. */
function isFree(lane: Lane): boolean {
  return lane.outstanding < lane.concurrency || (lane.concurrency === 1 && lane.backlogMs < almostFreeMs)
}

function takes(lane: Lane): boolean {
  return lane.open && !lane.stalled
}

/** How many jobs of this run time may be posted ahead to a thread. */
export function aheadOf(averageMs: number | undefined, concurrency: number): number {
  if (averageMs === undefined) return 0
  return Math.min(aheadLimit, Math.floor((horizonMs * concurrency) / Math.max(averageMs, 0.001)))
}
