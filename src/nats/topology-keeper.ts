import type { JetStreamManager } from '@nats-io/jetstream'
import { errors } from '@nats-io/transport-node'
import { consumerName, type Priority } from '../core/names.ts'
import { Absences } from './absences.ts'
import { explainBrokerError, hasCause } from './broker-errors.ts'
import type { BrokerConnection } from './connection.ts'
import type { DelayedTopology } from './delayed-topology.ts'
import { nameMissing, type TopologyReport } from './ensure.ts'
import type { Incarnations } from './incarnations.ts'
import { type RarePriority, rarePriorities } from './priority-sources.ts'
import { ensureSource, ensureTopology, type Topology } from './topology.ts'

/** While something is missing, or not permitted, how often to look again. */
const lookAgainMs = 1_000
/** While a consumer is served that cannot be looked at, how often to look again. */
const unseenAgainMs = 10_000
/** Looks at signs of trouble are at least so far apart; each is a dozen requests or more. */
const lookGapMs = 250
/** After a reconnect, how often to try to see the job stream. */
const verifyAgainMs = 100
/**
 * So many looks that fail in a row do not wait long for an answer: nobody may be there to give it, and one that is asked
 * just before a leader is elected never gets it. An election takes up to 9 s.
 */
const hastyLooks = 8
/** So soon answers a server that has got over its trouble while a look still waited. */
const answerMs = 250
/** Signs of trouble within this are one. */
const troubleMs = 50

/** What looking at the broker leads to. */
export interface TopologyHooks {
  /** The job stream was seen on a new connection: now it may be used. */
  verified(): void
  /** A stream of jobs was made anew then, epoch milliseconds; infinite while it is gone. */
  streamReplaced(stream: string, createdAt: number): void
  delayedFound(found: DelayedTopology | undefined): void
  /** Something was created or brought up to date. */
  changed(report: TopologyReport): void
  /** Something can be used now that could not before. */
  healed(): void
  /** The consumer of a handler and priority was missing and is new. */
  consumerMade(handler: string, priority: Priority): void
  /** The consumer of a handler and priority is there. */
  sourceBound(handler: string, priority: Priority): void
  report(report: TopologyReport): void
  failed(error: unknown): void
}

/**
 * Keeps streams, consumers and buckets as they have to be, from the start on and through everything that
 * happens to them.
 *
 * 1. It looks at the start, after each reconnect, and at every sign of trouble; while something is missing, once
 *    a second, and while something is there and cannot be looked at, every 10 s.
 * 2. After a reconnect the connection counts as verified only once the streams with jobs were seen.
 * 3. A server that does not answer, nor when it is asked once more, is left for another one; so is one on which look
 *    after look fails.
 * 4. A stream that was there and is missing is made anew by the second look that misses it, a second after the first;
 *    after a restart of the server at once. Until then nothing of it is acked.
 * 5. The consumers of the rare priorities are made when their first job is noticed.
 */
export class TopologyKeeper {
  /** What is missing although it is needed; empty when all is well. */
  missing: readonly string[] = []
  /** The job stream has been seen on this connection. */
  isVerified = true
  jobStreamThere = false
  readonly #needed: Omit<Topology, 'version'>
  readonly #absences = new Absences()
  /** Gives up on an answer sooner. */
  readonly #hasty: JetStreamManager
  readonly #connection: BrokerConnection
  readonly #hooks: TopologyHooks
  /** Noticed, and not known to have a consumer; by the name that reports call it. */
  readonly #unbound = new Map<string, [handler: string, priority: RarePriority]>()
  /** When the next look is due, on the monotonic clock. */
  #dueAt = Number.POSITIVE_INFINITY
  #lookedAt = Number.NEGATIVE_INFINITY
  #failedInARow = 0
  /** Of the connection on which the look that is under way began. */
  #epoch = 0
  /** Streams with jobs that the look that is under way has yet to see before jobs may be taken. */
  readonly #toSee = new Set<string>()
  #looking = false
  #hasUnseen = false
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(
    needed: Omit<Topology, 'absences' | 'streamSeen' | 'consumerMade' | 'version'>,
    hasty: JetStreamManager,
    connection: BrokerConnection,
    incarnations: Incarnations,
    hooks: TopologyHooks,
  ) {
    this.#connection = connection
    this.#hooks = hooks
    this.#hasty = hasty
    this.#needed = {
      ...needed,
      absences: this.#absences,
      consumerMade: hooks.consumerMade,
      streamSeen: (stream, createdAt) => {
        if (stream === needed.names.jobStream) this.jobStreamThere = createdAt !== undefined
        if (createdAt === undefined) {
          // Until somebody makes it anew, in which an ack of an old job would hit a new one.
          if (incarnations.of(stream) !== '') hooks.streamReplaced(stream, Number.POSITIVE_INFINITY)
          return
        }
        if (incarnations.seen(stream, createdAt)) hooks.streamReplaced(stream, Date.parse(createdAt))
        // The rest of the look may wait for servers that nobody needs in order to work.
        if (this.#toSee.delete(stream) && this.#toSee.size === 0) this.#verify()
      },
    }
  }

  /**
   * The first look.
   *
   * @throws {MillraceError} `jetstream_disabled`, `not_permitted`, `topology_conflict` or
   * `broker_request_failed`.
   */
  async begin(): Promise<void> {
    try {
      await this.#ensure({})
    } catch (error) {
      throw explainBrokerError(error)
    }
    if (this.missing.length > 0) this.lookSlowly()
    else if (this.#hasUnseen) this.#lookIn(unseenAgainMs)
  }

  /** Nothing is to be said to the broker until `verified`. */
  disconnected(): void {
    this.isVerified = false
  }

  reconnected(): void {
    this.#lookIn(0)
  }

  /** There is a sign of trouble. */
  look(): void {
    const gapMs = this.#lookedAt + lookGapMs - performance.now()
    this.#lookIn(this.missing.length > 0 ? lookAgainMs : Math.max(troubleMs, gapMs))
  }

  /** There is a sign of trouble that will be there for a while. */
  lookSlowly(): void {
    this.#lookIn(lookAgainMs)
  }

  /** The first job of a priority: its consumer is made at once, or looked for until it is there. */
  async bind(handler: string, priority: RarePriority): Promise<void> {
    const label = `consumer ${this.#needed.names.streamOf(priority)}/${consumerName(handler)}`
    this.#unbound.set(label, [handler, priority])
    try {
      const report = await ensureSource(this.#topology(), handler, priority)
      if (report.missing.length > 0) return this.look()
      if (report.unseen.length > 0) this.#lookIn(unseenAgainMs)
      if (report.changed.length + report.warnings.length > 0) this.#hooks.report(report)
      this.#bound(label)
    } catch (error) {
      this.#hooks.failed(error)
      this.lookSlowly()
    }
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  /** Then at the latest. A sign that comes during a look is about what that may have passed already. */
  #lookIn(delayMs: number): void {
    const dueAt = performance.now() + delayMs
    if (this.#closed || dueAt >= this.#dueAt) return
    this.#dueAt = dueAt
    if (!this.#looking) this.#setTimer()
  }

  #setTimer(): void {
    clearTimeout(this.#timer)
    if (this.#closed || this.#dueAt === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => void this.#takeLook(), Math.max(0, this.#dueAt - performance.now()))
  }

  async #takeLook(): Promise<void> {
    this.#dueAt = Number.POSITIVE_INFINITY
    this.#looking = true
    await this.#lookNow()
    this.#looking = false
    this.#lookedAt = performance.now()
    if (!this.isVerified && this.#connection.connected) this.#lookIn(verifyAgainMs)
    else if (this.#failedInARow > 0) this.#lookIn(Math.min(lookAgainMs, lookGapMs * this.#failedInARow))
    else if (this.missing.length > 0 || this.#unbound.size > 0) this.lookSlowly()
    else if (this.#hasUnseen) this.#lookIn(unseenAgainMs)
    this.#setTimer()
  }

  async #lookNow(): Promise<void> {
    if (!this.#connection.connected) return
    this.#epoch = this.#connection.epoch
    try {
      await this.#ensure(this.#failedInARow < hastyLooks ? { jsm: this.#hasty } : {})
      this.#failedInARow = 0
      this.#verify()
    } catch (error) {
      this.#failedInARow += 1
      this.#hooks.failed(error)
      if (hasCause(error, errors.TimeoutError)) await this.#leaveUnlessItAnswers()
      if (this.missing.length === 0) this.missing = [`an answer: ${explainBrokerError(error).message}`]
    }
  }

  /**
   * What was asked during an election or a partition is never answered, and times out when that may be over. Leaving a
   * server that serves us then would lose the jobs that are on their way from it until their leases run out.
   */
  async #leaveUnlessItAnswers(): Promise<void> {
    const answers = this.#failedInARow <= hastyLooks && (await this.#answersNow())
    if (!answers && this.#connection.epoch === this.#epoch) this.#connection.moveOn('it does not answer')
  }

  async #answersNow(): Promise<boolean> {
    const { nc } = this.#connection
    const subject = `$JS.API.STREAM.INFO.${this.#needed.names.jobStream}`
    return nc.request(subject, undefined, { timeout: answerMs }).then(
      () => true,
      () => false,
    )
  }

  /** What was seen was seen on the connection that there is. */
  #verify(): void {
    if (this.isVerified || !this.#connection.connected || this.#connection.epoch !== this.#epoch) return
    this.isVerified = true
    this.#hooks.verified()
  }

  async #ensure(how: { jsm?: JetStreamManager }): Promise<void> {
    this.#absences.servedBy(this.#connection.nc.info?.server_id)
    const { names, noticed } = this.#needed
    this.#toSee.clear()
    this.#toSee.add(names.jobStream)
    for (const priority of rarePriorities)
      if (noticed[priority].size > 0) this.#toSee.add(names.streamOf(priority))
    const unbound = [...this.#unbound.keys()]
    const found = await ensureTopology({ ...this.#topology(), ...how })
    this.#hooks.delayedFound(found.delayed)
    const { changed, warnings } = found
    const missing = found.missing.map(nameMissing)
    const hasChanged = changed.length > 0
    if (hasChanged || missing.join() !== this.missing.join() || warnings.length > 0) this.#hooks.report(found)
    const hasHealed = missing.length < this.missing.length
    this.missing = missing
    this.#hasUnseen = found.unseen.length > 0
    for (const label of unbound) {
      if (!found.missing.some(({ what }) => what === label)) this.#bound(label)
    }
    if (hasChanged) this.#hooks.changed(found)
    if (hasHealed || hasChanged) this.#hooks.healed()
  }

  /** The server may be another version after a reconnect. */
  #topology(): Topology {
    return { ...this.#needed, version: this.#connection.version }
  }

  #bound(label: string): void {
    const source = this.#unbound.get(label)
    this.#unbound.delete(label)
    if (source) this.#hooks.sourceBound(...source)
  }
}
