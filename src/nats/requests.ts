import { errors, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { MillraceError } from '../core/errors.ts'
import { AnswerInbox, type PermissionViolation } from './answer-inbox.ts'
import { PublishWriter } from './publish-writer.ts'

interface Waiting {
  readonly subject: string
  readonly giveUpAt: number
  resolve(answer: Msg): void
  reject(error: Error): void
}

const sweepMs = 100

/**
 * Requests of which many are under way at once: one subscription and one timer for all of them, and those of a turn
 * of the event loop leave in one piece. The client's own `request` costs a timer, a stack trace and a write for each.
 */
export class Requests {
  readonly #nc: NatsConnection
  readonly #limitMs: number
  readonly #writer: PublishWriter
  readonly #inbox: AnswerInbox
  readonly #underWay = new Map<number, Waiting>()
  #next = 0
  #sweep: NodeJS.Timeout | undefined

  /** @param limitMs - how long each waits for its answer. */
  constructor(nc: NatsConnection, limitMs: number) {
    this.#nc = nc
    this.#limitMs = limitMs
    this.#writer = new PublishWriter(nc)
    this.#inbox = new AnswerInbox(nc, {
      answered: (token, message) => this.#answered(token, message),
      forbidden: (error, subject) => this.#forbidden(error, subject),
      closed: () => this.#failAll(() => new errors.ClosedConnectionError()),
    })
  }

  /**
   * Resolves with the answer.
   *
   * @throws {Error} when there is none in time, nobody there to give one, or the connection is closed.
   * @throws {MillraceError} `broker_request_failed` when it is larger than the server takes.
   */
  send(subject: string, data: string): Promise<Msg> {
    return new Promise((resolve, reject) => {
      if (this.#nc.isClosed()) throw new errors.ClosedConnectionError()
      const bytes = Buffer.byteLength(data)
      const { max_payload = Number.POSITIVE_INFINITY } = this.#nc.info ?? {}
      // The server would end the connection.
      if (bytes > max_payload) {
        const message = `a request to ${subject} has ${bytes} bytes, and the server takes ${max_payload} (max_payload)`
        throw new MillraceError('broker_request_failed', message)
      }
      this.#inbox.open()
      const token = this.#next++
      const giveUpAt = performance.now() + this.#limitMs
      this.#underWay.set(token, { subject, giveUpAt, resolve, reject })
      this.#sweep ??= setInterval(() => this.#look(), sweepMs)
      const publication = { subject, stream: '', headers: [], data }
      this.#writer.add({ publication, block: '', blockBytes: 0, bytes }, this.#inbox.subjectOf(token))
    })
  }

  /** Hands what was sent to the connection now, behind what it was given before. */
  flush(): void {
    this.#writer.flush()
  }

  #answered(token: number, answer: Msg): void {
    const waiting = this.#end(token)
    if (!waiting) return
    const isNobody = answer.data.length === 0 && answer.headers?.code === 503
    if (isNobody) waiting.reject(new errors.NoRespondersError(waiting.subject))
    else waiting.resolve(answer)
  }

  #look(): void {
    const now = performance.now()
    for (const [token, { giveUpAt }] of this.#underWay) {
      if (giveUpAt > now) return
      this.#end(token)?.reject(new Error(`no answer within ${this.#limitMs} ms`))
    }
  }

  #forbidden(error: PermissionViolation, subject: string | undefined): void {
    this.#failAll(() => error, subject)
  }

  #failAll(why: () => Error, subject?: string): void {
    for (const [token, waiting] of this.#underWay) {
      if (subject === undefined || subject === waiting.subject) this.#end(token)?.reject(why())
    }
  }

  #end(token: number): Waiting | undefined {
    const waiting = this.#underWay.get(token)
    this.#underWay.delete(token)
    if (this.#underWay.size === 0) {
      clearInterval(this.#sweep)
      this.#sweep = undefined
    }
    return waiting
  }
}
