import type { JetStreamClient } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { type HeaderEntry, headerBlockBytes } from '../core/dead-letter.ts'
import { type DelayedJob, type DueJob, dueId } from '../core/delayed-job.ts'
import { MillraceError } from '../core/errors.ts'
import { mostOwnHeaders } from '../core/job-headers.ts'
import { isHandlerName, type Names, priorities } from '../core/names.ts'
import type { Delivery } from '../engine/broker-port.ts'
import type { DelayedJobs, DelayedListener } from '../engine/delayed-jobs-port.ts'
import { encodeHeaders, largestHeaderBytes } from './dead-letter-stream.ts'
import { DelayedPull } from './delayed-pull.ts'
import type { DelayedTopology } from './delayed-topology.ts'
import { isOwnHeader } from './header-block.ts'
import { deadLetterRoomBytes } from './topology.ts'

const publishMs = 5_000
/** A schedule further away than this is set for then; the mover gives the rest of the wait back. */
const longestScheduleMs = 3.15e12
/** Room for a message id, and for the headers of a schedule. */
const addedBytes = 1_024
/** So many headers may be added here and by the server; with more of its own a job would be unreadable here. */
const addedHeaders = 8

/**
 * The stream `JOBS_DELAYED`.
 *
 * - `delayed.jobs.due.<job subject>`: what the mover takes.
 * - `delayed.jobs.at.<stream>.<sequence>.<stored at>`: schedules, on servers that have them. The server
 *   moves each to its `due` subject at its time; a schedule needs a subject of its own. Source: NATS ADR-51,
 *   "JetStream message scheduler".
 *
 * Without schedules a job goes to its `due` subject at once, and the mover gives it back until its time.
 */
export class DelayedStream implements DelayedJobs {
  readonly #nc: NatsConnection
  readonly #js: JetStreamClient
  readonly #names: Names
  readonly #trouble: () => void
  readonly #pull: DelayedPull
  #topology: DelayedTopology | undefined
  #createdAt: string | undefined
  #listener: DelayedListener | undefined

  constructor(parts: {
    nc: NatsConnection
    js: JetStreamClient
    names: Names
    newInbox: () => string
    trouble: () => void
  }) {
    this.#nc = parts.nc
    this.#js = parts.js
    this.#names = parts.names
    this.#trouble = parts.trouble
    this.#pull = new DelayedPull({
      nc: parts.nc,
      names: parts.names,
      newInbox: parts.newInbox,
      arrived: (delivery) => this.#listener?.delayedArrived(delivery),
      ended: () => this.#listener?.delayedPullEnded(),
      trouble: parts.trouble,
    })
  }

  /** What looking at the broker showed; undefined when there is no such stream. */
  set topology(found: DelayedTopology | undefined) {
    this.#topology = found
    if (!found) return
    const replaced = this.#createdAt !== undefined && this.#createdAt !== found.createdAt
    this.#createdAt = found.createdAt
    if (replaced) this.#listener?.delayedReplaced(this.#names.delayedStream)
  }

  listen(listener: DelayedListener): void {
    this.#listener = listener
  }

  store(job: DelayedJob, entries: readonly HeaderEntry[], data: Uint8Array): Promise<void> | undefined {
    if (!this.#topology || !this.#fits(headerBlockBytes(entries) + addedBytes, data)) return undefined
    if (entries.filter(([name]) => isOwnHeader(name)).length > mostOwnHeaders - addedHeaders) return undefined
    const headers = encodeHeaders(entries)
    // A header that the client does not write would be lost: such a job stays where it is.
    if (countValues(headers) !== entries.length) return undefined
    const due = this.#names.dueSubject(job.subject)
    if (!this.#topology.schedules)
      return this.#publish(due, data, headers, dueId(job), this.#names.delayedStream)
    const at = new Date(Math.min(job.dueAt, Date.now() + longestScheduleMs))
    headers.set('Nats-Schedule', `@at ${at.toISOString()}`)
    headers.set('Nats-Schedule-Target', due)
    const subject = this.#names.scheduleSubject(job.stream, job.sequence, job.storedAt)
    return this.#publish(subject, data, headers, dueId(job), this.#names.delayedStream)
  }

  publish(delivery: Delivery, due: DueJob): Promise<void> | string {
    const { subject } = delivery
    const priority = priorities.find((each) => subject === this.#names.jobSubject(delivery.handler, each))
    if (priority === undefined || !isHandlerName(delivery.handler)) {
      return `is for ${subject}, which is no job's subject`
    }
    if (delivery.headerProblem !== undefined) return `cannot be a job: ${delivery.headerProblem}`
    const withId: HeaderEntry[] = [...due.headers, ['Nats-Msg-Id', due.id]]
    if (!this.#fits(headerBlockBytes(withId), delivery.data)) return 'is too large to be a job'
    return this.#publish(
      subject,
      delivery.data,
      encodeHeaders(due.headers),
      due.id,
      this.#names.streamOf(priority),
    )
  }

  pull(count: number): void {
    this.#pull.pull(count, this.#topology !== undefined)
  }

  /** A new connection: nothing of the old one will be answered. */
  open(): void {
    this.#pull.open()
  }

  close(): void {
    this.#pull.close()
  }

  /** Resolves when no open pull can bring a message any more. */
  pullEnded(): Promise<void> {
    return this.#pull.whenEnded()
  }

  async #publish(
    subject: string,
    data: Uint8Array,
    headers: MsgHdrs,
    msgID: string,
    stream: string,
  ): Promise<void> {
    try {
      const ack = await this.#js.publish(subject, data, { msgID, headers, timeout: publishMs })
      if (ack.stream === stream) return
      throw new MillraceError(
        'topology_conflict',
        `stream ${ack.stream} takes ${subject}; it belongs into ${stream}`,
      )
    } catch (error) {
      this.#trouble()
      throw error
    }
  }

  /** Whether the job stream takes it. */
  #fits(headerBytes: number, data: Uint8Array): boolean {
    if (headerBytes > largestHeaderBytes) return false
    return headerBytes + data.length <= (this.#nc.info?.max_payload ?? 1024 * 1024) - deadLetterRoomBytes
  }
}

function countValues(headers: MsgHdrs): number {
  let count = 0
  for (const [, values] of headers) count += values.length
  return count
}
