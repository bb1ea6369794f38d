import { type Priority, priorities } from '../core/names.ts'
import type { HandlerState } from './handler-state.ts'

/** A source counts as active this long after its last job arrived. */
const activeMs = 1_000
/** A pull that has brought nothing for so long shows that nothing waits. */
export const patienceMs = 20

/**
 * Where the jobs of one handler and one priority come from, and what is known of how much waits there.
 */
export class JobSource {
  readonly handler: HandlerState
  readonly priority: Priority
  /** Its consumer is there, so it is pulled from. The normal one always is. */
  bound: boolean
  /** Deliveries that take up room: not yet ended. */
  held = 0
  /** Asked for and not yet arrived. */
  credit = 0
  /** How many the pull loop wants to hold, as of its last look. */
  target = 0
  /** On the monotonic clock; when something last arrived. */
  lastArrivalAt = Number.NEGATIVE_INFINITY
  #askedAt = Number.NEGATIVE_INFINITY
  /** What the server said with the last arrival: how many more it had then. */
  #pending: number | undefined

  constructor(handler: HandlerState, priority: Priority) {
    this.handler = handler
    this.priority = priority
    this.bound = priority === 'normal'
  }

  /** The number that threads know the priority by. */
  get level(): number {
    return priorities.indexOf(this.priority)
  }

  asked(count: number, now: number): void {
    this.credit += count
    this.#askedAt = now
  }

  arrived(pending: number, now: number): void {
    this.credit = Math.max(0, this.credit - 1)
    this.lastArrivalAt = now
    this.#pending = pending
  }

  /** So many of those that were asked for will not come. */
  returned(count: number): void {
    this.credit = Math.max(0, this.credit - count)
    // A pull ends by itself only when nothing waits.
    if (count > 0) this.#pending = 0
  }

  isActive(now: number): boolean {
    return this.held > 0 || now - this.lastArrivalAt < activeMs
  }

  /** From when on the open pull has shown that nothing waits, if nothing arrives until then. */
  get emptyAt(): number {
    if (this.#pending === 0) return Number.NEGATIVE_INFINITY
    if (this.credit === 0) return Number.POSITIVE_INFINITY
    return Math.max(this.#askedAt, this.lastArrivalAt) + patienceMs
  }

  /** Nothing waits there, as far as we know. */
  isEmpty(now: number): boolean {
    return !this.bound || now >= this.emptyAt
  }

  /** How many of its jobs are on their way here, or about to be asked for. */
  expected(now: number): number {
    if (this.#pending === undefined || this.isEmpty(now)) return 0
    return Math.max(0, Math.min(this.#pending, this.target - this.held))
  }
}
