import type { JetStreamClient } from '@nats-io/jetstream'
import { headers as createHeaders, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node'
import { type DeadLetter, deadLetterId, fitHeaders, type HeaderEntry } from '../core/dead-letter.ts'
import { MillraceError } from '../core/errors.ts'
import type { Names } from '../core/names.ts'
import type { Incarnations } from './incarnations.ts'
import { headerOf, readStoredMessage } from './stored-message.ts'

const publishMs = 5_000
/** The most bytes that a stream takes as a message's headers; error 10097 beyond. Source: nats-server, stream.go. */
export const largestHeaderBytes = 65_535
/** Room for the `Nats-Msg-Id` of a record. */
const msgIdBytes = 256

/** Writes dead letters so that at most one of a job is stored, whoever tries and however often. */
export class DeadLetterStream {
  readonly #nc: NatsConnection
  readonly #js: JetStreamClient
  readonly #names: Names
  readonly #incarnations: Incarnations
  readonly #largestBytes: () => number

  /** @param largestBytes - of a message with its headers, as the server takes it. */
  constructor(
    nc: NatsConnection,
    js: JetStreamClient,
    names: Names,
    incarnations: Incarnations,
    largestBytes: () => number,
  ) {
    this.#largestBytes = largestBytes
    this.#nc = nc
    this.#js = js
    this.#names = names
    this.#incarnations = incarnations
  }

  /**
   * Resolves when the server has stored the record.
   *
   * The id is `dead:<stream>:<sequence>`. A stream that was made anew counts from 1 again, so an answer
   * "duplicate" is believed only when the stored record is this job's; otherwise the id gets the
   * stream's creation time.
   */
  async publish(letter: DeadLetter, entries: readonly HeaderEntry[], data: Uint8Array): Promise<void> {
    const roomBytes = Math.min(largestHeaderBytes, this.#largestBytes() - data.length)
    const headers = encodeHeaders(fitHeaders(entries, roomBytes - msgIdBytes))
    const duplicateOf = await this.#publish(
      letter,
      headers,
      data,
      deadLetterId(letter.stream, letter.sequence),
    )
    if (duplicateOf === undefined || (await this.#isOf(letter, duplicateOf))) return
    const incarnation = Date.parse(this.#incarnations.of(letter.stream))
    await this.#publish(letter, headers, data, deadLetterId(letter.stream, letter.sequence, incarnation))
  }

  async #publish(
    letter: DeadLetter,
    headers: MsgHdrs,
    data: Uint8Array,
    msgID: string,
  ): Promise<number | undefined> {
    const ack = await this.#js.publish(this.#names.deadSubject(letter.handler), data, {
      msgID,
      headers,
      timeout: publishMs,
    })
    // Asked of the answer, not by an expectation in the headers: that would be stored with the record.
    if (ack.stream !== this.#names.deadStream) {
      throw new MillraceError(
        'topology_conflict',
        `stream ${ack.stream} takes the dead letters of ${letter.handler}; they belong into ${this.#names.deadStream}`,
      )
    }
    return ack.duplicate ? ack.seq : undefined
  }

  async #isOf(letter: DeadLetter, sequence: number): Promise<boolean> {
    const stored = await readStoredMessage(this.#nc, this.#names.deadStream, sequence)
    return (
      stored !== undefined &&
      headerOf(stored, 'Millrace-Enqueued-At') === new Date(letter.enqueuedAt).toISOString() &&
      headerOf(stored, 'Millrace-Job-Id') === letter.jobId
    )
  }
}

/** A header that the client refuses to write is left out: losing it is better than losing the record. */
export function encodeHeaders(entries: readonly HeaderEntry[]): MsgHdrs {
  const headers = createHeaders()
  for (const [name, value] of entries) {
    try {
      headers.append(name, value)
    } catch {
      // An application's header with characters that no client may send.
    }
  }
  return headers
}
