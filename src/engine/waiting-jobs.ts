import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Lane } from './lanes-port.ts'

/** How much measured run time may be posted to a thread ahead of its turn. */
export const horizonMs = 30

/** The jobs of one priority that wait for a thread of one pool, handlers taking turns. */
export class WaitingJobs {
  readonly #queues = new Map<HandlerState, Queue>()
  readonly #turns: HandlerState[] = []
  #length = 0
  /** The last search found only jobs that are too long to wait behind others on that thread. */
  tooLong = false

  get length(): number {
    return this.#length
  }

  add(job: InFlightJob): void {
    this.#queue(job.handler).push(job)
    this.#length += 1
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
    this.#length += jobs.length
  }

  remove(job: InFlightJob): boolean {
    if (!this.#queues.get(job.handler)?.remove(job)) return false
    this.#length -= 1
    return true
  }

  /** Takes out everything, or what there is of one handler. */
  takeAll(handler?: HandlerState): InFlightJob[] {
    const taken: InFlightJob[] = []
    for (const [of, queue] of this.#queues) if (!handler || of === handler) taken.push(...queue.takeAll())
    this.#length -= taken.length
    return taken
  }

  /** The measured run time of the handler whose jobs are shortest; infinite when none was ever here. */
  get shortestMs(): number {
    let shortest = Number.POSITIVE_INFINITY
    for (const handler of this.#turns) shortest = Math.min(shortest, handler.averageMs ?? horizonMs)
    return shortest
  }

  /** Takes out the next job that this thread may have. */
  take(lane: Lane): InFlightJob | undefined {
    this.tooLong = false
    if (this.#length === 0) return undefined
    const room = lane.concurrency - lane.outstanding
    for (let tries = this.#turns.length; tries > 0; tries -= 1) {
      const handler = this.#turns.shift()!
      this.#turns.push(handler)
      const queue = this.#queues.get(handler)!
      if (queue.length === 0 || handler.posted >= handler.profile.concurrency) continue
      const estimateMs = handler.averageMs ?? horizonMs
      if (room <= 0 && (lane.backlogMs + estimateMs) / lane.concurrency > horizonMs) {
        this.tooLong = true
        continue
      }
      const job = queue.shift()!
      job.estimateMs = estimateMs
      this.#length -= 1
      this.tooLong = false
      return job
    }
    return undefined
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
}

/** Jobs of one handler; the ends are cheap, and so is the usual case of none. */
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
