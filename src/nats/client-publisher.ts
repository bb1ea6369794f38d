import { setTimeout as wait } from 'node:timers/promises'
import { JetStreamApiError, type JetStreamClient, type JetStreamManager, jetstream } from '@nats-io/jetstream'
import { headers as createHeaders, errors, type NatsConnection } from '@nats-io/transport-node'
import type { HeaderEntry } from '../core/dead-letter.ts'
import { MillraceError } from '../core/errors.ts'
import { explainBrokerError, hasCause } from './broker-errors.ts'

/** Something to be stored. Storing it twice must do no harm: it has a message id, or replaces what was there. */
export interface Publication {
  readonly subject: string
  /** The stream that is to take it. */
  readonly stream: string
  /** Dedupe key within the stream's duplicate window. */
  readonly id?: string
  readonly headers: readonly HeaderEntry[]
  readonly data: Uint8Array | string
}

/** What the server said when it had stored something. */
export interface Stored {
  readonly stream: string
  readonly sequence: number
  /** It had stored the same id before, and nothing now; the sequence is that one's. */
  readonly duplicate: boolean
}

/** One try may take so long; what a reconnect swallows is noticed after it. */
const tryMs = 2_000
const pauseMs = 200
const streamMissing = 10059
const storeFailed = 10077
const messageTooLarge = 10054
const noSpace = [10023, 10047]

/** Publishes until the server has it, through lost connections and elections, for a bounded time. */
export class ClientPublisher {
  readonly #nc: NatsConnection
  readonly #js: JetStreamClient
  readonly #jsm: JetStreamManager

  constructor(nc: NatsConnection, jsm: JetStreamManager) {
    this.#nc = nc
    this.#js = jetstream(nc)
    this.#jsm = jsm
  }

  /**
   * Resolves when the server has stored it.
   *
   * @throws {MillraceError} `payload_too_large`, `stream_full`, `topology_missing`, `topology_conflict` and
   *   `not_permitted` at once; `broker_unreachable` or `broker_request_failed` when `timeoutMs` is over, and
   *   then it is not known whether it was stored.
   */
  async publish(publication: Publication, timeoutMs: number): Promise<Stored> {
    const giveUpAt = performance.now() + timeoutMs
    for (;;) {
      if (this.#nc.isClosed()) throw new MillraceError('client_closed', 'the connection to NATS is closed')
      this.#checkSize(publication)
      const leftMs = Math.max(1, giveUpAt - performance.now())
      try {
        return await this.#try(publication, Math.min(tryMs, leftMs))
      } catch (error) {
        const final = await this.#final(error, publication)
        if (final) throw final
        if (performance.now() + pauseMs >= giveUpAt) throw tooLate(error, timeoutMs)
        await wait(pauseMs)
      }
    }
  }

  async #try({ subject, stream, id, headers, data }: Publication, timeout: number): Promise<Stored> {
    const ack = await this.#js.publish(subject, data, {
      timeout,
      headers: encodeHeaders(headers),
      ...(id === undefined ? {} : { msgID: id }),
    })
    if (ack.stream === stream) return { stream, sequence: ack.seq, duplicate: ack.duplicate }
    throw new MillraceError(
      'topology_conflict',
      `stream ${ack.stream} has taken what is published to ${subject}, which belongs into ${stream}; remove that subject from it`,
    )
  }

  #checkSize({ data, headers, subject }: Publication): void {
    const limit = this.#nc.info?.max_payload
    let bytes = Buffer.byteLength(data)
    // A header line is `name: value` and an end of two bytes; the version line and the message id come on top.
    for (const [name, value] of headers) bytes += name.length + Buffer.byteLength(value) + 4
    if (limit === undefined || bytes <= limit) return
    throw tooLarge(subject, `${bytes} bytes with its headers, and the server takes ${limit} (max_payload)`)
  }

  /** What trying again cannot help against; undefined for the rest. */
  async #final(error: unknown, { subject, stream }: Publication): Promise<MillraceError | undefined> {
    if (error instanceof MillraceError) return error
    if (hasCause(error, errors.PermissionViolationError)) {
      return new MillraceError(
        'not_permitted',
        `the NATS server does not permit publishing to ${subject}, or reading its answer; grant the account both`,
        { cause: error },
      )
    }
    if (error instanceof JetStreamApiError) {
      const { code, message } = error
      if (code === storeFailed && message.includes('maximum')) {
        return new MillraceError(
          'stream_full',
          `stream ${stream} is full (${message}); wait until jobs are done, or raise MILLRACE_MAX_JOBS or MILLRACE_MAX_BYTES`,
          { cause: error },
        )
      }
      if (code === messageTooLarge) return tooLarge(subject, `more than stream ${stream} takes (${message})`)
      return noSpace.includes(code) ? explainBrokerError(error) : undefined
    }
    return (await this.#isMissing(stream, error)) ? missing(stream, error) : undefined
  }

  /** Nobody answered: no stream takes this subject, or one that does has no leader just now. */
  async #isMissing(stream: string, error: unknown): Promise<boolean> {
    if (!(error instanceof Error) || error.name !== 'JetStreamNotEnabled') return false
    try {
      await this.#jsm.streams.info(stream)
      return false
    } catch (refusal) {
      return refusal instanceof JetStreamApiError && refusal.code === streamMissing
    }
  }
}

function encodeHeaders(entries: readonly HeaderEntry[]) {
  const headers = createHeaders()
  for (const [name, value] of entries) headers.append(name, value)
  return headers
}

function missing(stream: string, cause: unknown): MillraceError {
  const what = stream.startsWith('KV_') ? `bucket ${stream.slice(3)}` : `stream ${stream}`
  return new MillraceError(
    'topology_missing',
    `there is no ${what}; a supervisor of this namespace creates it when it starts with MILLRACE_MANAGE=true: start one, or check MILLRACE_NAMESPACE`,
    { cause },
  )
}

function tooLarge(subject: string, how: string): MillraceError {
  return new MillraceError(
    'payload_too_large',
    `the message to ${subject} has ${how}; store the payload elsewhere and enqueue where it is`,
  )
}

function tooLate(error: unknown, timeoutMs: number): MillraceError {
  if (error instanceof JetStreamApiError) return explainBrokerError(error)
  return new MillraceError(
    'broker_unreachable',
    `the NATS server did not confirm within ${timeoutMs} ms (${error instanceof Error ? error.message : String(error)}); whether it has stored the message is not known, and enqueuing again with the same id is safe`,
    { cause: error },
  )
}
