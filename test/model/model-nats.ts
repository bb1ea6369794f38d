import type { JetStreamClient } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import type { HistoryEntry } from '#src/core/history.js'
import { namesFor } from '#src/core/names.js'
import type { MemoryBroker } from '#src/testing/memory-broker.js'
import type { Wires } from './wires.ts'

/** As `src/nats` waits for answers. */
const readMs = 2_000
export const publishMs = 5_000
/** What tells whose a dead letter is. */
const lookedAt = ['Millrace-Enqueued-At', 'Millrace-Job-Id']

export const names = namesFor('jobs')

/** What a dead letter's headers say. */
export interface StoredLetter {
  readonly sequence: number
  readonly reason: string
  readonly attempts: number
  readonly history: readonly HistoryEntry[]
}

/** What is told of settlements and dead letters. */
export interface NatsWatcher {
  /** A process answers a delivery: from now on that is on its way. */
  answering(sequence: number, reply: string, answer: string): void
  /** Such an answer is about to take effect. */
  answered(sequence: number, reply: string, answer: string): void
  letterStored(letter: StoredLetter, duplicate: boolean): void
}

/** What `AckWriter` and `DeadLetterStream` need of a connection. */
export function modelConnection(wires: Wires, broker: MemoryBroker, watcher: NatsWatcher): NatsConnection {
  const publish = (reply: string, body: string | Uint8Array): void => {
    const answer = typeof body === 'string' ? body : Buffer.from(body).toString()
    const [, , , , deliveries, place] = reply.split('.')
    const sequence = Number(place)
    if (wires.connected) watcher.answering(sequence, reply, answer)
    wires.send('settle', `${answer} of delivery ${deliveries} of job ${sequence}`, sequence, () => {
      watcher.answered(sequence, reply, answer)
      broker.settle(reply, answer)
    })
  }
  const request = async (_subject: string, query: string) => {
    const { seq } = JSON.parse(query) as { seq: number }
    const find = () => broker.dead.find(seq)
    const record = await wires.request('letter', `look at dead letter ${seq}`, undefined, readMs, find)
    const lines = lookedAt.map((name) => `${name}: ${record?.header(name)}\r\n`)
    const hdrs = Buffer.from(`NATS/1.0\r\n${lines.join('')}\r\n`).toString('base64')
    return { json: () => ({ message: record && { hdrs, time: '' } }) }
  }
  return { publish, request, isClosed: () => false } as unknown as NatsConnection
}

/** What `DeadLetterStream` needs of a JetStream client. */
export function modelJetStream(wires: Wires, broker: MemoryBroker, watcher: NatsWatcher): JetStreamClient {
  const publish = async (
    subject: string,
    _data: Uint8Array,
    { msgID, headers }: { msgID: string; headers: MsgHdrs },
  ) => {
    const sequence = Number(headers.get('Millrace-Sequence'))
    const store = () => {
      const answer = broker.dead.publish(msgID, subject, (name) => headers.get(name))
      watcher.letterStored(letterOf(headers), answer.duplicate)
      return answer
    }
    const stored = await wires.request('letter', `dead letter of job ${sequence}`, sequence, publishMs, store)
    return { stream: names.deadStream, seq: stored.sequence, duplicate: stored.duplicate }
  }
  return { publish } as unknown as JetStreamClient
}

function letterOf(headers: MsgHdrs): StoredLetter {
  return {
    sequence: Number(headers.get('Millrace-Sequence')),
    reason: headers.get('Millrace-Dead-Reason'),
    attempts: Number(headers.get('Millrace-Attempts')),
    history: JSON.parse(headers.get('Millrace-History')) as HistoryEntry[],
  }
}
