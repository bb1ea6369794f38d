import { limitKey } from '../core/control-keys.ts'
import {
  askLimits,
  formatRecord,
  type LimitAnswer,
  type LimitAsk,
  type LimitRecord,
  type Limits,
  parseRecord,
} from '../core/limits.ts'
import type { BrokerTime } from './broker-time.ts'
import type { Clock } from './clock-port.ts'
import type { SharedState } from './shared-state-port.ts'

/** From its grant to its start a job may take this share of `perMs`, within these bounds... */
const marginRatio = 0.05
const leastMarginMs = 2
const mostMarginMs = 50
/** ...or this share, where that is longer: a start that is lost is lost for all of `perMs`. */
const longMarginRatio = 0.01
/** Where writing the record takes long, grants are made for longer; above this they are lost. */
const mostStartWithinMs = 5_000
/** How fast a slow write is forgotten. */
const slowdownMemory = 0.8
/** A member that has written nothing for ack wait and this much more is dead. */
const deadRatio = 0.1
const deadMarginMs = 500

/** What a handler needs right now; instants are on the monotonic clock. */
export type LimitNeed = Pick<LimitAsk, 'inFlight' | 'ready' | 'wanted' | 'late'>

/** What was written, or did not have to be. */
export interface Settled {
  readonly answer: LimitAnswer
  /** On the monotonic clock; what the answer's spans of time begin at. */
  readonly askedAt: number
  /** On the monotonic clock; until when the passing jobs have to start. */
  readonly startBy: number
  /** The late starts that are in the record now. */
  readonly late: LimitNeed['late']
}

export interface LimitShareParts {
  readonly handler: string
  readonly limits: Limits
  readonly supervisorId: string
  readonly ackWaitMs: number
  readonly shared: SharedState
  readonly clock: Clock
  readonly time: BrokerTime
}

/** How long a job may take from its grant to its start when nothing is slow. */
export function startMarginMs(limits: Limits): number {
  if (!limits.rate) return mostMarginMs
  const { perMs } = limits.rate
  const shortMs = Math.min(mostMarginMs, Math.max(leastMarginMs, perMs * marginRatio))
  return Math.min(mostStartWithinMs, Math.max(shortMs, perMs * longMarginRatio))
}

/**
 * One supervisor's part in the limits of a handler: reads the record that all share, and writes what it takes
 * by compare-and-swap.
 *
 * 1. Instants are the broker's: our clock is measured against it by what we write and then read.
 * 2. A start is granted for a short while: one that comes too late for that is lost, never used later.
 * 3. Members whose beat stands still for longer than ack wait, by our own clock, are dead, and what they had
 *    is void. Their jobs come back at about that time, too.
 */
export class LimitShare {
  readonly #parts: LimitShareParts
  readonly #key: string
  readonly #marginMs: number
  /** When each member's beat was first seen as it is. */
  #seen = new Map<string, { readonly beat: number; readonly at: number }>()
  #lastWrite: { revision: number; sentAt: number; answeredAt: number } | undefined
  #beat = 0
  /** On the monotonic clock; when what we last wrote was sent. */
  #renewedAt = Number.NEGATIVE_INFINITY
  /** How long writes have taken lately. */
  #slowMs = 0

  constructor(parts: LimitShareParts) {
    this.#parts = parts
    this.#key = limitKey(parts.handler)
    this.#marginMs = startMarginMs(parts.limits)
  }

  /** Whether our permits are certainly not void yet. */
  get isValid(): boolean {
    return this.#parts.clock.monotonicMs() - this.#renewedAt < this.#parts.ackWaitMs
  }

  /**
   * Asks for what `need` says once the record is read. Undefined when somebody else has written meanwhile, or
   * when the broker's time was not known: then it is to be asked again soon.
   *
   * @throws when the record cannot be reached.
   */
  async ask(need: () => LimitNeed): Promise<Settled | undefined> {
    const { clock, shared, time, limits, supervisorId, ackWaitMs } = this.#parts
    const entry = await shared.read(this.#key)
    const record = parseRecord(entry.value)
    const now = clock.monotonicMs()
    this.#look(record, now)
    if (this.#lastWrite && this.#lastWrite.revision === entry.revision) {
      time.learn(entry.writtenAt, this.#lastWrite.sentAt, this.#lastWrite.answeredAt)
    }
    if (!time.isFresh(now)) {
      await this.#write(record, entry.revision)
      return undefined
    }
    const startWithinMs = Math.min(
      mostStartWithinMs,
      Math.max(this.#marginMs, this.#slowMs * 2 + this.#marginMs / 2),
    )
    const { late, ...wants } = need()
    const answer = askLimits(record, limits, {
      ...wants,
      late: { jobs: late.jobs, at: time.at(late.at) },
      supervisor: supervisorId,
      beat: this.#beat + 1,
      now: time.at(now),
      errorMs: time.errorMs,
      startWithinMs,
      dead: this.#dead(now),
    })
    const isDue = answer.record.inFlight.has(supervisorId) && now - this.#renewedAt >= ackWaitMs / 3
    if (!answer.changed && !isDue) return { answer, askedAt: now, startBy: now, late }
    if (!(await this.#write(answer.record, entry.revision))) return undefined
    this.#beat += 1
    this.#renewedAt = now
    // The rest of the margin is for the way to the thread.
    const isLate = clock.monotonicMs() > now + startWithinMs - this.#marginMs / 2
    const granted = limits.rate && isLate ? { ...answer, passing: 0 } : answer
    return { answer: granted, askedAt: now, startBy: now + startWithinMs, late }
  }

  /** True when the record was still the one that we had read. */
  async #write(record: LimitRecord, expected: number): Promise<boolean> {
    const { clock, shared } = this.#parts
    const sentAt = clock.monotonicMs()
    const revision = await shared.write(this.#key, formatRecord(record), expected)
    const answeredAt = clock.monotonicMs()
    this.#slowMs = Math.max(answeredAt - sentAt, this.#slowMs * slowdownMemory)
    if (revision === undefined) return false
    this.#lastWrite = { revision, sentAt, answeredAt }
    return true
  }

  #look({ inFlight }: LimitRecord, now: number): void {
    const seen = new Map<string, { beat: number; at: number }>()
    for (const [id, { beat }] of inFlight) {
      const before = this.#seen.get(id)
      seen.set(id, before?.beat === beat ? before : { beat, at: now })
    }
    this.#seen = seen
  }

  #dead(now: number): Set<string> {
    const afterMs = this.#parts.ackWaitMs * (1 + deadRatio) + deadMarginMs
    return new Set([...this.#seen].filter(([, { at }]) => now - at >= afterMs).map(([id]) => id))
  }
}
