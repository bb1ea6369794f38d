import {
  createInbox,
  type Msg,
  type NatsConnection,
  type Status,
  type Subscription,
} from '@nats-io/transport-node'
import { MillraceError } from '../core/errors.ts'
import type { Names } from '../core/names.ts'
import { explainRequest } from './broker-errors.ts'
import { subscriber } from './subscriber.ts'

/** How long somebody who asks listens. */
export interface Listening {
  /** While nobody has answered. */
  readonly firstMs: number
  /** For the others, once somebody has. */
  readonly moreMs: number
}

const noResponders = 503

/**
 * Answers a question on behalf of this supervisor. Whoever cannot answer stays silent: the question goes to all.
 *
 * An answer goes nowhere but below `answers.<namespace>`. A server checks to which subjects somebody publishes, and
 * not which one is named for the answer, so without that a question could make a supervisor publish to a subject
 * that is closed to who asks.
 */
export class Answers {
  readonly #nc: NatsConnection
  readonly #names: Names
  readonly #subject: string
  readonly #answer: (text: string) => Promise<string | undefined>
  #subscription: Subscription | undefined

  constructor(
    nc: NatsConnection,
    names: Names,
    question: string,
    answer: (text: string) => Promise<string | undefined>,
  ) {
    this.#nc = nc
    this.#names = names
    this.#subject = names.askSubject(question)
    this.#answer = answer
  }

  open(): void {
    if (this.#nc.isClosed()) return
    this.#subscription = this.#nc.subscribe(this.#subject, {
      // Without the permission nothing is heard; the connection tells of that.
      callback: subscriber((error, message) => {
        if (!error) void this.#hear(message)
      }),
    })
  }

  close(): void {
    if (!this.#nc.isClosed()) this.#subscription?.unsubscribe()
  }

  async #hear(message: Msg): Promise<void> {
    const { data, reply } = message
    if (!reply?.startsWith(this.#names.answerSubject(''))) return
    try {
      const answer = await this.#answer(new TextDecoder().decode(data))
      if (answer !== undefined && !this.#nc.isClosed()) this.#nc.publish(reply, answer)
    } catch {
      // Who asked hears nothing, and may ask again.
    }
  }
}

/**
 * Asks every supervisor of a namespace, and gives back what those say that have something to say.
 *
 * @throws {MillraceError} `not_permitted`; `broker_unreachable` when the question did not get to the server in
 *   `firstMs`: that is no answer, and does not say that nobody has one.
 */
export async function askSupervisors(
  nc: NatsConnection,
  names: Names,
  question: string,
  text: string,
  { firstMs, moreMs }: Listening,
): Promise<string[]> {
  const subject = names.askSubject(question)
  const reply = names.answerSubject(createInbox().split('.').at(-1)!)
  const answers: string[] = []
  const statuses = nc.status() as AsyncIterable<Status> & { stop?(): void }
  let subscription: Subscription | undefined
  let timer: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      let arrived = false
      timer = setTimeout(() => (arrived ? resolve() : reject(unreachable(firstMs))), firstMs)
      void refusalOf(statuses, [subject, reply]).then((refusal) => refusal && reject(refusal))
      subscription = nc.subscribe(reply, {
        callback: subscriber((error, message) => {
          if (error) reject(explainRequest(error, firstMs))
          else if (message.data.length === 0 && message.headers?.code === noResponders) resolve()
          else {
            answers.push(message.string())
            clearTimeout(timer)
            timer = setTimeout(resolve, moreMs)
          }
        }),
      })
      nc.publish(subject, text, { reply })
      nc.flush().then(
        () => {
          arrived = true
        },
        (error: unknown) => reject(unreachable(firstMs, error)),
      )
    })
    return answers
  } catch (error) {
    throw error instanceof MillraceError ? error : explainRequest(error, firstMs)
  } finally {
    clearTimeout(timer)
    subscription?.unsubscribe()
    statuses.stop?.()
  }
}

function unreachable(limitMs: number, cause?: unknown): MillraceError {
  return new MillraceError(
    'broker_unreachable',
    `the NATS server did not take a question within ${limitMs} ms; it is away or slow`,
    { cause },
  )
}

/** What the server says beside, when one of these subjects is forbidden. */
async function refusalOf(
  statuses: AsyncIterable<Status>,
  subjects: readonly string[],
): Promise<Error | undefined> {
  for await (const status of statuses) {
    if (status.type !== 'error' || status.error.name !== 'PermissionViolationError') continue
    const { subject } = status.error as Error & { subject?: string }
    if (subject === undefined || subjects.includes(subject)) return explainRequest(status.error, 0)
  }
  return undefined
}
