import { JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream'
import { errors, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { MillraceError } from '../core/errors.ts'
import { AnswerInbox, type PermissionViolation } from './answer-inbox.ts'
import { explainBrokerError } from './broker-errors.ts'
import { headerBlock, type Publication } from './publication.ts'
import { readAnswer, type Stored } from './publish-answer.ts'
import { finalRefusal, misplaced, missing, notPermitted, tooLarge, tooLate } from './publish-refusal.ts'
import { type EncodedPublication, PublishWriter } from './publish-writer.ts'

/** Hears once of each publication what became of it; `tag` is what it was sent with. */
export interface PublicationOwner {
  stored(tag: number, publication: Publication, stored: Stored, bytes: number): void
  failed(tag: number, publication: Publication, error: MillraceError, bytes: number): void
}

interface Sending extends EncodedPublication {
  readonly owner: PublicationOwner
  readonly tag: number
  readonly timeoutMs: number
  readonly giveUpAt: number
  sendAgainAt: number
  /** Until it is sent again without an answer; doubled each time, so that a slow server is not made slower. */
  patienceMs: number
  /** The connection that it went over last; an answer on another one cannot be relied upon. */
  sentOver: string
  lastError: unknown
}

/** The first try may take so long; what nobody answers is sent again after it. */
const tryMs = 2_000
/** How soon something is sent again that the server has refused for now. */
const pauseMs = 200
const sweepMs = 100
const streamMissing = 10059
const decoder = new TextDecoder()

/**
 * Publishes until the server has it, through lost connections and elections, for a bounded time.
 *
 * 1. Every publication has a number, and its answer comes back on `<inbox>.<number>`: one subscription for all,
 *    no promise and no timer for each.
 * 2. One sweep every 100 ms, while anything is under way, sends again what nobody has answered in time, what the
 *    server has refused for now, and what went over a connection that is gone; and gives up on what is too old.
 * 3. Nothing is written while the connection is away: the client library would throw it away.
 */
export class ClientPublisher {
  readonly #nc: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #writer: PublishWriter
  readonly #inbox: AnswerInbox
  readonly #underWay = new Map<number, Sending>()
  readonly #lookups = new Map<string, Promise<unknown>>()
  #next = 0
  #sweep: NodeJS.Timeout | undefined
  #released = false
  #info: NatsConnection['info']
  #connection = ''

  constructor(nc: NatsConnection, jsm: JetStreamManager) {
    this.#nc = nc
    this.#jsm = jsm
    this.#writer = new PublishWriter(nc)
    this.#inbox = new AnswerInbox(nc, {
      answered: (token, message) => this.#answered(token, message),
      forbidden: (error, subject) => this.#forbidden(error, subject),
      closed: () => this.#failAll(connectionClosed),
    })
  }

  /**
   * Resolves when the server has stored it.
   *
   * @throws {MillraceError} `payload_too_large`, `stream_full`, `topology_missing`, `topology_conflict` and
   *   `not_permitted` at once; `broker_unreachable` or `broker_request_failed` when `timeoutMs` is over, and
   *   then it is not known whether it was stored.
   */
  publish(publication: Publication, timeoutMs: number): Promise<Stored> {
    return new Promise((resolve, reject) => {
      const owner = {
        stored: (_: number, __: Publication, stored: Stored) => resolve(stored),
        failed: (_: number, __: Publication, error: MillraceError) => reject(error),
      }
      this.send(publication, timeoutMs, owner, 0)
    })
  }

  /**
   * The same for many: tells the owner, which may happen before this returns. Keeps the order in which they are
   * sent, except of what has to be sent again.
   *
   * @returns how many bytes are under way with it until the owner hears of it.
   */
  send(publication: Publication, timeoutMs: number, owner: PublicationOwner, tag: number): number {
    let block: string
    try {
      if (this.#nc.isClosed()) throw connectionClosed()
      block = headerBlock(publication.id, publication.headers)
      this.#inbox.open()
    } catch (error) {
      owner.failed(tag, publication, explainBrokerError(error), 0)
      return 0
    }
    const blockBytes = Buffer.byteLength(block)
    const bytes = blockBytes + Buffer.byteLength(publication.data)
    const giveUpAt = performance.now() + timeoutMs
    const sending: Sending = {
      publication,
      block,
      blockBytes,
      bytes,
      owner,
      tag,
      timeoutMs,
      giveUpAt,
      sendAgainAt: 0,
      patienceMs: tryMs,
      sentOver: '',
      lastError: undefined,
    }
    const token = this.#next++
    this.#underWay.set(token, sending)
    this.#sweep ??= setInterval(() => this.#look(), sweepMs)
    this.#write(token, sending, giveUpAt - timeoutMs)
    return bytes
  }

  /** Lets go of the connection as soon as nothing is under way any more. */
  release(): void {
    this.#released = true
    this.#writer.flush()
    if (this.#underWay.size === 0) this.#inbox.close()
  }

  /** Does nothing while there is no connection; the sweep comes back to it. */
  #write(token: number, sending: Sending, now: number): void {
    const { info } = this.#nc
    if (info === undefined) return
    if (info !== this.#info) {
      this.#info = info
      this.#connection = `${info.server_id} ${info.client_id}`
    }
    if (sending.bytes > info.max_payload) {
      const how = `${sending.bytes} bytes with its headers, and the server takes ${info.max_payload} (max_payload)`
      this.#fail(token, sending, tooLarge(sending.publication.subject, how))
      return
    }
    sending.sendAgainAt = now + sending.patienceMs
    sending.patienceMs *= 2
    sending.sentOver = this.#connection
    this.#writer.add(sending, this.#inbox.subjectOf(token))
  }

  #look(): void {
    const now = performance.now()
    const { info } = this.#nc
    const connection = info && `${info.server_id} ${info.client_id}`
    for (const [token, sending] of this.#underWay) {
      if (now >= sending.giveUpAt) this.#fail(token, sending, tooLate(sending.lastError, sending.timeoutMs))
      else if (connection && (now >= sending.sendAgainAt || sending.sentOver !== connection))
        this.#write(token, sending, now)
    }
  }

  #answered(token: number, message: Msg): void {
    const sending = this.#underWay.get(token)
    if (!sending) return
    const { publication } = sending
    const { data } = message
    if (data.length === 0 && message.headers?.code === 503) {
      void this.#nobodyAnswers(token, sending)
      return
    }
    const answer = readAnswer(decoder.decode(data), publication.stream)
    if (answer === undefined) return
    if ('error' in answer) {
      const error = new JetStreamApiError(answer.error)
      const final = finalRefusal(error, publication)
      if (final) this.#fail(token, sending, final)
      else this.#later(sending, error)
    } else if (answer.stream === publication.stream) {
      this.#end(token)
      sending.owner.stored(sending.tag, publication, answer, sending.bytes)
    } else {
      this.#fail(token, sending, misplaced(publication, answer.stream))
    }
  }

  /** No stream takes this subject, or one that does has no leader just now. */
  async #nobodyAnswers(token: number, sending: Sending): Promise<void> {
    const { stream, subject } = sending.publication
    this.#later(sending, new errors.NoRespondersError(subject))
    let lookup = this.#lookups.get(stream)
    if (!lookup) {
      lookup = this.#absence(stream).finally(() => this.#lookups.delete(stream))
      this.#lookups.set(stream, lookup)
    }
    const absence = await lookup
    if (absence !== undefined && this.#underWay.get(token) === sending)
      this.#fail(token, sending, missing(stream, absence))
  }

  /** What the server says when there is no such stream; undefined when there is one, or nobody knows. */
  async #absence(stream: string): Promise<unknown> {
    try {
      await this.#jsm.streams.info(stream)
    } catch (refusal) {
      if (refusal instanceof JetStreamApiError && refusal.code === streamMissing) return refusal
    }
    return undefined
  }

  #later(sending: Sending, error: unknown): void {
    sending.lastError = error
    sending.sendAgainAt = performance.now() + pauseMs
    sending.patienceMs = tryMs
  }

  #fail(token: number, sending: Sending, error: MillraceError): void {
    this.#end(token)
    sending.owner.failed(sending.tag, sending.publication, error, sending.bytes)
  }

  #failAll(why: (subject: string) => MillraceError, subject?: string): void {
    for (const [token, sending] of this.#underWay) {
      const to = sending.publication.subject
      if (subject === undefined || subject === to) this.#fail(token, sending, why(to))
    }
  }

  #end(token: number): void {
    this.#underWay.delete(token)
    if (this.#underWay.size > 0) return
    // Without this a process could not end before its next sweep.
    clearInterval(this.#sweep)
    this.#sweep = undefined
    if (this.#released) this.#inbox.close()
  }

  #forbidden(error: PermissionViolation, subject: string | undefined): void {
    this.#failAll((to) => notPermitted(to, error), subject)
  }
}

function connectionClosed(): MillraceError {
  return new MillraceError('client_closed', 'the connection to NATS is closed')
}
