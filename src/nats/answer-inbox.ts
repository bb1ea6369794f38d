import {
  createInbox,
  type errors,
  type Msg,
  type NatsConnection,
  type Status,
  type Subscription,
} from '@nats-io/transport-node'
import { subscriber } from './subscriber.ts'

export type PermissionViolation = InstanceType<typeof errors.PermissionViolationError>

/** Who waits for answers. */
export interface AnswerListener {
  answered(token: number, message: Msg): void
  /** Publishing to a subject, or without one listening to any answer, is not permitted. */
  forbidden(error: PermissionViolation, subject: string | undefined): void
  /** The connection is closed for good. */
  closed(): void
}

/** Where the answers to numbered publications come back, over one subscription, and what the server says beside. */
export class AnswerInbox {
  readonly #nc: NatsConnection
  readonly #listener: AnswerListener
  #prefix = ''
  #subscription: Subscription | undefined
  #status: AsyncIterable<Status> | undefined

  constructor(nc: NatsConnection, listener: AnswerListener) {
    this.#nc = nc
    this.#listener = listener
  }

  /** Listens; does nothing when it does already. */
  open(): void {
    this.#status ??= this.#watch()
    if (this.#subscription) return
    const { options } = this.#nc as unknown as { options?: { inboxPrefix?: string } }
    this.#prefix = `${createInbox(options?.inboxPrefix)}.`
    this.#subscription = this.#nc.subscribe(`${this.#prefix}*`, {
      callback: subscriber((error, message) => {
        if (!error) this.#listener.answered(Number(message.subject.slice(this.#prefix.length)), message)
      }),
    })
  }

  subjectOf(token: number): string {
    return this.#prefix + token
  }

  /** Leaves nothing at the connection. */
  close(): void {
    this.#subscription?.unsubscribe()
    this.#subscription = undefined
    const status = this.#status as { stop?(): void } | undefined
    status?.stop?.()
    this.#status = undefined
  }

  /** A publish that is not permitted has no answer; the server complains on the side. Ends with the connection. */
  #watch(): AsyncIterable<Status> {
    const statuses = this.#nc.status()
    void (async () => {
      for await (const status of statuses) {
        if (status.type === 'error' && isViolation(status.error)) this.#refused(status.error)
      }
      if (this.#nc.isClosed()) this.#listener.closed()
    })()
    return statuses
  }

  #refused(error: PermissionViolation): void {
    const { operation, subject } = error
    if (operation === 'publish') {
      this.#listener.forbidden(error, subject)
    } else if (subject === `${this.#prefix}*`) {
      // The client has dropped it; the next one may be permitted.
      this.#subscription = undefined
      this.#listener.forbidden(error, undefined)
    }
  }
}

/** By its name, because a connection that was given may come from another copy of the library. */
function isViolation(error: Error): error is PermissionViolation {
  return error.name === 'PermissionViolationError'
}
