import type { PoolName } from '../core/handler-definition.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Clock, Lane } from './ports.ts'

/** How much measured run time may be posted to a thread ahead of its turn. */
export const horizonMs = 30
/** The most jobs posted ahead to one thread, and in one message. */
export const aheadLimit = 511
const batchLimit = 256
/** Waking a thread for less work than this costs more than it saves. */
const wakeMs = 1
/** A thread with less work than this is as good as free, and better than one that sleeps. */
const almostFreeMs = 0.1
/** A thread that holds unbegun jobs and reports nothing for this long has to give them back. */
const stallMs = 30

/** Jobs of one handler that wait for a thread; the ends are cheap, and so is the usual case of none. */
class Queue {
  #jobs: InFlightJob[] = []
  #head = 0

  get length(): number {
    return this.#jobs.length - this.#head
  }

  push(job: InFlightJob): void {
    this.#jobs.push(job)
  }

  unshift(jobs: readonly InFlightJob[]): void {
    this.#jobs = [...jobs, ...this.#jobs.slice(this.#head)]
    this.#head = 0
  }

  shift(): InFlightJob | undefined {
    const job = this.#jobs[this.#head]
    if (!job) return undefined
    this.#head += 1
    if (this.#head === this.#jobs.length) {
      this.#jobs = []
      this.#head = 0
    }
    return job
  }

  remove(job: InFlightJob): boolean {
    const at = this.#jobs.indexOf(job, this.#head)
    if (at < 0) return false
    this.#jobs.splice(at, 1)
    return true
  }

  takeAll(): InFlightJob[] {
    const jobs = this.#jobs.slice(this.#head)
    this.#jobs = []
    this.#head = 0
    return jobs
  }
}

/**
 * Brings the waiting jobs of one pool to its threads.
 *
 * 1. A thread with a free slot gets what waits at once, shared out evenly among such threads.
 * 2. A busy thread gets jobs ahead of its turn, as long as they add up to at most 30 ms of measured run
 *    time; many at a time when they are short, because each message costs a wake-up.
 * 3. Handlers take turns.
 * 4. What was posted ahead to a thread that then reports nothing for 30 ms is taken back, so that it
 *    never waits behind a slow job.
 */
export class Dispatcher {
  readonly pool: PoolName
  readonly lanes: Lane[] = []
  readonly #clock: Clock
  readonly #posted: (jobs: readonly InFlightJob[]) => void
  readonly #takenBack: (jobs: readonly InFlightJob[]) => void
  readonly #queues = new Map<HandlerState, Queue>()
  #turns: HandlerState[] = []
  #waiting = 0
  #scheduled = false
  #watching = false

  constructor(
    pool: PoolName,
    clock: Clock,
    hooks: {
      posted: (jobs: readonly InFlightJob[]) => void
      /** Decides what becomes of jobs that were posted ahead in vain; usually they come back with `addFirst`. */
      takenBack: (jobs: readonly InFlightJob[]) => void
    },
  ) {
    this.pool = pool
    this.#clock = clock
    this.#posted = hooks.posted
    this.#takenBack = hooks.takenBack
  }

  get waiting(): number {
    return this.#waiting
  }

  add(job: InFlightJob): void {
    this.#queue(job.handler).push(job)
    this.#waiting += 1
    this.schedule()
  }

  /** Puts jobs back before everything else of their handlers. */
  addFirst(jobs: readonly InFlightJob[]): void {
    const byHandler = new Map<HandlerState, InFlightJob[]>()
    for (const job of jobs) {
      const some = byHandler.get(job.handler)
      if (some) some.push(job)
      else byHandler.set(job.handler, [job])
    }
    for (const [handler, some] of byHandler) this.#queue(handler).unshift(some)
    this.#waiting += jobs.length
    this.schedule()
  }

  /** Takes a job out that has not been posted. */
  remove(job: InFlightJob): boolean {
    if (!this.#queues.get(job.handler)?.remove(job)) return false
    this.#waiting -= 1
    return true
  }

  /** Takes out everything that has not been posted, or what there is of one handler. */
  takeAll(handler?: HandlerState): InFlightJob[] {
    const taken: InFlightJob[] = []
    for (const [of, queue] of this.#queues) if (!handler || of === handler) taken.push(...queue.takeAll())
    this.#waiting -= taken.length
    return taken
  }

  /** Dispatches at the end of the current synchronous work, so that what arrives together goes together. */
  schedule(): void {
    if (this.#scheduled || this.#waiting === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#dispatch()
    })
  }

  #queue(handler: HandlerState): Queue {
    let queue = this.#queues.get(handler)
    if (!queue) {
      queue = new Queue()
      this.#queues.set(handler, queue)
      this.#turns.push(handler)
    }
    return queue
  }

  #dispatch(): void {
    const free = this.lanes.filter((lane) => takes(lane) && isFree(lane))
    free.sort((a, b) => (a.concurrency === 1 ? b.backlogMs - a.backlogMs : a.outstanding - b.outstanding))
    for (const [index, lane] of free.entries()) {
      if (this.#waiting === 0) return
      this.#fill(lane, Math.max(this.#worthWaking(), Math.ceil(this.#waiting / (free.length - index))))
    }
    if (this.#waiting === 0) return
    for (const lane of this.lanes) {
      if (this.#waiting === 0) return
      if (takes(lane) && lane.outstanding > 0 && this.#worthPosting(lane)) this.#fill(lane, this.#waiting)
    }
  }

  /** So many of the waiting jobs run in less time than another thread takes to wake up. */
  #worthWaking(): number {
    const shortest = Math.min(...this.#turns.map((handler) => handler.averageMs ?? horizonMs))
    return Math.floor(wakeMs / Math.max(shortest, 0.001))
  }

  /** A busy thread is sent jobs in large batches, or when it is about to run dry. */
  #worthPosting(lane: Lane): boolean {
    const averageMs = lane.backlogMs / lane.outstanding
    const ahead = aheadOf(averageMs, lane.concurrency)
    if (ahead === 0) return false
    return (
      this.#waiting >= Math.min(64, ahead >> 1) ||
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

  /** The next job that this thread may have, handlers taking turns. */
  #take(lane: Lane): InFlightJob | undefined {
    const room = lane.concurrency - lane.outstanding
    if (room <= -aheadLimit) return undefined
    for (let tries = this.#turns.length; tries > 0; tries -= 1) {
      const handler = this.#turns.shift()!
      this.#turns.push(handler)
      const queue = this.#queues.get(handler)!
      if (queue.length === 0 || handler.posted >= handler.profile.concurrency) continue
      const estimateMs = handler.averageMs ?? horizonMs
      if (room <= 0 && (lane.backlogMs + estimateMs) / lane.concurrency > horizonMs) continue
      const job = queue.shift()!
      job.estimateMs = estimateMs
      this.#waiting -= 1
      return job
    }
    return undefined
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
