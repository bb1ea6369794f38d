import { JetStreamApiError, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream'
import { headers as createHeaders, type NatsConnection } from '@nats-io/transport-node'
import { MillraceError } from '../core/errors.ts'
import { isRecord } from '../core/field-checks.ts'
import { consumerName, type Names } from '../core/names.ts'
import { type TickRecord, type TickState, tickHeaders, tickStates } from '../core/ticks.ts'
import type { StoredTick, TickJob, TickStore } from '../engine/ticks-port.ts'
import { headerOf, readStoredMessage } from './stored-message.ts'
import { isUnserved } from './unserved.ts'

const requestMs = 2_000
const wrongLastSequence = 10071

interface TickHooks {
  isConnected(): boolean
  /** A request was not carried out; perhaps the stream is gone. */
  failed(): void
  /** Whether a job was finished by this supervisor. */
  hasFinished(stream: string, sequence: number, storedAt: number): boolean
}

/**
 * The stream `<NAMESPACE>_TICKS`: one record for each schedule, on the subject `ticks.<namespace>.<schedule>`.
 * A write expects the sequence of the record that was read, so of several supervisors one succeeds. Records
 * are read from the stream's leader: another replica may answer with an older one.
 */
export class TickStream implements TickStore {
  readonly #nc: NatsConnection
  readonly #js: JetStreamClient
  readonly #jsm: JetStreamManager
  readonly #names: Names
  readonly #hooks: TickHooks

  constructor(
    nc: NatsConnection,
    js: JetStreamClient,
    jsm: JetStreamManager,
    names: Names,
    hooks: TickHooks,
  ) {
    this.#nc = nc
    this.#js = js
    this.#jsm = jsm
    this.#names = names
    this.#hooks = hooks
  }

  get connected(): boolean {
    return this.#hooks.isConnected()
  }

  async read(schedule: string): Promise<StoredTick> {
    const query = { last_by_subj: this.#names.tickSubject(schedule) }
    const stored = await this.#told(this.#jsm.streams.getMessage(this.#names.ticksStream, query))
    return stored
      ? { record: decode(stored.string()), revision: stored.seq }
      : { record: undefined, revision: 0 }
  }

  async write(schedule: string, record: TickRecord, revision: number): Promise<number | undefined> {
    try {
      const stored = await this.#js.publish(this.#names.tickSubject(schedule), encode(record), {
        expect: { lastSubjectSequence: revision },
        timeout: requestMs,
      })
      return stored.seq
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === wrongLastSequence) return undefined
      this.#hooks.failed()
      throw error
    }
  }

  async publishJob(job: TickJob): Promise<{ sequence: number; duplicate: boolean }> {
    const headers = createHeaders()
    for (const [name, value] of tickHeaders(job.schedule, job.instant)) headers.set(name, value)
    const subject = this.#names.jobSubject(job.handler)
    const stored = await this.#told(
      this.#js.publish(subject, job.payload ?? '', { msgID: job.id, headers, timeout: requestMs }),
    )
    if (stored.stream !== this.#names.jobStream) {
      throw new MillraceError(
        'topology_conflict',
        `stream ${stored.stream} takes the jobs of ${job.handler}; they belong into ${this.#names.jobStream}`,
      )
    }
    return { sequence: stored.seq, duplicate: stored.duplicate }
  }

  async isSettled(handler: string, jobId: string, sequence: number): Promise<boolean> {
    const { jobStream } = this.#names
    const stored = await readStoredMessage(this.#nc, jobStream, sequence)
    if (!stored || headerOf(stored, 'Nats-Msg-Id') !== jobId) return true
    // After a kill, servers such as 2.9.10 may keep messages that were acked, and never hand them out again.
    // The floor may stay below them, and a message that is gone may stay pending for ever; then whoever
    // finished the job knows.
    if (this.#hooks.hasFinished(jobStream, sequence, stored.storedAt)) return true
    try {
      const { ack_floor, delivered, num_ack_pending } = await this.#jsm.consumers.info(
        jobStream,
        consumerName(handler),
      )
      if (ack_floor.stream_seq >= sequence) return true
      return num_ack_pending === 0 && delivered.stream_seq >= sequence
    } catch (error) {
      // Who could say is not there, and the job is.
      if (isUnserved(error)) return false
      throw error
    }
  }

  #told<T>(request: Promise<T>): Promise<T> {
    return request.catch((error: unknown) => {
      this.#hooks.failed()
      throw error
    })
  }
}

function encode(record: TickRecord): string {
  const jobs = record.jobs.map(({ instant, sequence }) => [instant, sequence])
  return JSON.stringify({ ...record, instant: new Date(record.instant).toISOString(), jobs })
}

/** Undefined for anything that is no record: the schedule then begins anew. */
function decode(text: string): TickRecord | undefined {
  try {
    const stored: unknown = JSON.parse(text)
    if (!isRecord(stored) || !tickStates.includes(stored['state'] as TickState)) return undefined
    const instant = Date.parse(String(stored['instant']))
    if (!(instant >= 0)) return undefined
    const jobs = (stored['jobs'] as [number, number][]).map(([at, sequence]) => ({ instant: at, sequence }))
    const state = stored['state'] as TickState
    const { handler, payload } = stored
    return {
      instant,
      state,
      supervisor: String(stored['supervisor']),
      ...(typeof handler === 'string' ? { handler } : {}),
      ...(typeof payload === 'string' || payload === null ? { payload } : {}),
      jobs,
    }
  } catch {
    return undefined
  }
}
