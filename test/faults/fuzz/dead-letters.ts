import { AckPolicy, DeliverPolicy, type JetStreamManager } from '@nats-io/jetstream'
import { createInbox, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { eventually } from '../../support/eventually.ts'
import { indexHeader } from './headers.ts'
import type { FuzzMessage } from './messages.ts'
import type { Expectation } from './oracle.ts'
import { hasTooManyHeaders } from './oracle.ts'

/** A stored dead letter, as it comes out of the stream. */
export interface StoredLetter {
  /** Its own place in the dead-letter stream. */
  readonly sequence: number
  readonly subject: string
  /** By name exactly as stored. */
  readonly headers: ReadonlyMap<string, readonly string[]>
  readonly body: Uint8Array
}

/** Brings dead letters as they are stored, and drops those that were dealt with. */
export class DeadLetterReader {
  readonly #jsm: JetStreamManager
  readonly #stream: string
  #arrived: StoredLetter[] = []
  #last = 0

  private constructor(jsm: JetStreamManager, stream: string) {
    this.#jsm = jsm
    this.#stream = stream
  }

  static async open(nc: NatsConnection, jsm: JetStreamManager, stream: string): Promise<DeadLetterReader> {
    const reader = new DeadLetterReader(jsm, stream)
    const inbox = createInbox()
    nc.subscribe(inbox, { callback: (_, message) => reader.#receive(message) })
    await jsm.consumers.add(stream, {
      deliver_subject: inbox,
      deliver_policy: DeliverPolicy.All,
      ack_policy: AckPolicy.None,
      inactive_threshold: 3_600_000_000_000,
    })
    return reader
  }

  /** Everything that the stream holds by now and was not taken before. */
  async take(): Promise<StoredLetter[]> {
    const { state } = await this.#jsm.streams.info(this.#stream)
    await eventually(`dead letter ${state.last_seq} arrives`, () => this.#last >= state.last_seq, 60_000)
    const taken = this.#arrived
    this.#arrived = []
    if (taken.length > 0) await this.#jsm.streams.purge(this.#stream, { seq: taken.at(-1)!.sequence + 1 })
    return taken
  }

  #receive(message: Msg): void {
    const sequence = Number(message.reply?.split('.').at(-4))
    this.#last = Math.max(this.#last, sequence)
    this.#arrived.push({
      sequence,
      subject: message.subject,
      headers: new Map(message.headers ?? []),
      body: message.data,
    })
  }
}

/** What is wrong with the dead letter of a message; empty when nothing is. */
export function compareLetter(message: FuzzMessage, expected: Expectation, letter: StoredLetter): string[] {
  const value = (name: string): string | undefined => letter.headers.get(name)?.join('|')
  const wrong: string[] = []
  const [reason, code, attempts] = ['Dead-Reason', 'Error-Code', 'Attempts'].map((name) =>
    value(`Millrace-${name}`),
  )
  const fits = expected.dead.some(
    (death) =>
      death.reason === reason &&
      death.code === code &&
      (death.attempts === undefined || String(death.attempts) === attempts),
  )
  if (!fits) {
    const wanted = expected.dead.map((death) => `${death.reason}/${death.code}/${death.attempts}`).slice(0, 3)
    wrong.push(`it died as ${reason}/${code}/${attempts}, expected was ${wanted.join(' or ') || 'no death'}`)
  }
  if (!Buffer.from(message.payload.body).equals(letter.body)) wrong.push('its body was changed')
  for (const [name, limit] of [
    ['Millrace-Error-Message', 1_024],
    ['Millrace-History', 8_192],
  ] as const) {
    if (Buffer.byteLength(value(name) ?? '') > limit) wrong.push(`${name} has more than ${limit} bytes`)
  }
  for (const name of own) {
    const count = letter.headers.get(name)?.length ?? 0
    if (count !== 1) wrong.push(`${name} is there ${count} times`)
  }
  for (const name of letter.headers.keys()) {
    if (/^nats-/i.test(name) && name !== 'Nats-Msg-Id') wrong.push(`${name} was copied`)
  }
  return [...wrong, ...compareHeaders(message, letter)]
}

const own = [
  'Nats-Msg-Id',
  ...[
    'Dead-Reason',
    'Job-Id',
    'Subject',
    'Stream',
    'Sequence',
    'Attempts',
    'Deliveries',
    'Enqueued-At',
    'Dead-At',
    'Error-Code',
    'Error-Message',
    'History',
  ].map((name) => `Millrace-${name}`),
]

/** What an application sent is there as it was, unless the block could not be read, or the letter says that it had no room. */
function compareHeaders(message: FuzzMessage, letter: StoredLetter): string[] {
  const { headers } = message
  if (headers.damaged || headers.kinds.includes('oddName')) return []
  if (hasTooManyHeaders(message)) {
    return letter.headers.has('Millrace-Headers-Dropped') ? [] : ['nothing says that headers are missing']
  }
  if (letter.headers.has('Millrace-Headers-Dropped')) {
    return headers.kinds.includes('huge') || headers.kinds.includes('many') ? [] : ['headers were dropped']
  }
  const sent = new Map<string, string[]>()
  for (const [name, value] of headers.entries) {
    if (name !== '' && !/^(nats|millrace)-/i.test(name))
      sent.set(name, [...(sent.get(name) ?? []), value.trim()])
  }
  const missing = [...sent].filter(
    ([name, values]) => letter.headers.get(name)?.join('\n') !== values.join('\n'),
  )
  return missing.map(([name]) => `its header ${JSON.stringify(name.slice(0, 40))} was not kept`)
}

/** The number of the message, as far as its headers tell. */
export function indexOf(letter: StoredLetter): number | undefined {
  const [text] = letter.headers.get(indexHeader) ?? []
  return text === undefined ? undefined : Number(text)
}
