import {
  AckPolicy,
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamManager,
  ReplayPolicy,
} from '@nats-io/jetstream'
import { type Msg, type MsgHdrs, type NatsConnection, nanos } from '@nats-io/transport-node'
import type { HeaderEntry } from '../core/dead-letter.ts'
import type { StoredDeadLetter } from '../core/dead-letter-record.ts'
import { MillraceError } from '../core/errors.ts'
import { readAckSubject } from './delivery.ts'

/** Which part of the stream of dead letters is read, and how. */
export interface PageQuery {
  readonly stream: string
  /** May have wildcards. */
  readonly subject: string
  readonly from: number
  /** The last sequence that is wanted. */
  readonly upTo: number
  /** Without them only the headers travel. */
  readonly payloads: boolean
  /** So many in a page at most. */
  readonly pageSize: number
  /** How long to go on without an answer. */
  readonly patienceMs: number
}

/** A pull waits so long for messages that the server still counts, though they may have gone meanwhile. */
const pullMs = 1_000
/** And so long for some that it does not count: its count is a hint. */
const lastPullMs = 250
/** A page takes so long at most; what comes later is asked for again. */
const pageMs = 5_000
/** The server forgets a consumer that nobody asks any more after this. */
const forgottenMs = 30_000
const againMs = 200
const leastPageBytes = 32 * 1024 * 1024

/**
 * Reads a stream page by page, in order and each message once.
 *
 * A consumer of our own passes over what was deleted and over other subjects at the server, so the cost is that
 * of the messages that are there. It acknowledges nothing and is kept in the server's memory; when it or the
 * connection is lost, another one goes on behind the last message that arrived.
 *
 * @throws {Error} of the client library when the server does not answer for `patienceMs`.
 */
export async function* readPages(
  nc: NatsConnection,
  jsm: JetStreamManager,
  query: PageQuery,
): AsyncGenerator<StoredDeadLetter[], void, undefined> {
  let consumer: PageConsumer | undefined
  let next = query.from
  let giveUpAt = performance.now() + query.patienceMs
  try {
    while (next <= query.upTo) {
      let page: StoredDeadLetter[] | undefined
      try {
        consumer ??= await createConsumer(jsm, query, next)
        page = await pull(nc, consumer, query)
      } catch (error) {
        consumer = undefined
        const isRefused = error instanceof JetStreamApiError && error.status < 500
        if (isRefused || performance.now() + againMs >= giveUpAt || nc.isClosed()) throw error
        await new Promise((resolve) => setTimeout(resolve, againMs))
        continue
      }
      giveUpAt = performance.now() + query.patienceMs
      const last = page.at(-1)
      if (!last) return
      next = last.sequence + 1
      yield page.filter(({ sequence }) => sequence <= query.upTo)
      giveUpAt = performance.now() + query.patienceMs
    }
  } finally {
    if (consumer && !nc.isClosed()) jsm.consumers.delete(query.stream, consumer.name).catch(() => {})
  }
}

interface PageConsumer {
  readonly name: string
  /** Of the last message that arrived, counted by the consumer. */
  delivered: number
  /** What it has not delivered, as far as the server knows. */
  pending: number
}

async function createConsumer(jsm: JetStreamManager, query: PageQuery, from: number): Promise<PageConsumer> {
  const { name, num_pending } = await jsm.consumers.add(query.stream, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: from,
    filter_subject: query.subject,
    replay_policy: ReplayPolicy.Instant,
    headers_only: !query.payloads,
    inactive_threshold: nanos(forgottenMs),
    mem_storage: true,
    num_replicas: 1,
  })
  return { name, delivered: 0, pending: num_pending }
}

/** The next messages; none when no more come. Rejects when the server falls silent, or one was lost on the way. */
async function pull(
  nc: NatsConnection,
  consumer: PageConsumer,
  query: PageQuery,
): Promise<StoredDeadLetter[]> {
  const page: StoredDeadLetter[] = []
  const maxBytes = Math.max(leastPageBytes, 2 * (nc.info?.max_payload ?? 0))
  const expires = nanos(consumer.pending > 0 ? pullMs : lastPullMs)
  const request = { batch: query.pageSize, expires, max_bytes: maxBytes }
  const answers = await nc.requestMany(
    `$JS.API.CONSUMER.MSG.NEXT.${query.stream}.${consumer.name}`,
    JSON.stringify(request),
    // Not over the shared inbox of requests: a message of a stream comes with its own subject.
    { strategy: 'timer', maxWait: pageMs, noMux: true },
  )
  for await (const message of answers) {
    const status = message.headers?.code ?? 0
    // 404 and 408 say that nothing more came in time, 409 that the page is full; all else is not to be had.
    if (status === 404 || status === 408) return page
    if (status !== 0) {
      if (status === 409 && page.length > 0) return page
      throw pageFailed(`${status} ${message.headers?.description ?? ''}`)
    }
    const stored = read(message, consumer)
    page.push(stored)
    if (page.length === query.pageSize || stored.sequence >= query.upTo) return page
  }
  if (page.length > 0) return page
  throw pageFailed(`silent for ${pageMs} ms`)
}

function read(message: Msg, consumer: PageConsumer): StoredDeadLetter {
  const at = readAckSubject(message.reply ?? '')
  if (!at || at.delivered !== consumer.delivered + 1) throw pageFailed('a message got lost on its way')
  consumer.delivered = at.delivered
  consumer.pending = at.pending
  return {
    stream: at.stream,
    sequence: at.sequence,
    storedAt: at.storedAt,
    subject: message.subject,
    headers: entriesOf(message.headers),
    // Whoever edits a dead letter may know it as a Buffer; the message may have either.
    data: Buffer.from(message.data.buffer, message.data.byteOffset, message.data.length),
  }
}

/** Every header as often as it is there, but for the one that the server adds when it leaves the payload out. */
export function entriesOf(headers: MsgHdrs | undefined): HeaderEntry[] {
  const entries: HeaderEntry[] = []
  for (const [name, values] of headers ?? []) {
    if (name === 'Nats-Msg-Size') continue
    for (const value of values) entries.push([name, value])
  }
  return entries
}

function pageFailed(how: string): MillraceError {
  return new MillraceError(
    'broker_request_failed',
    `the NATS server did not deliver what a stream holds: ${how}`,
  )
}
