/**
 * The process of the bare contestant: `node bare-loop.js <url> <handler>`. Prints a line when it is up.
 *
 * The fastest that nats.js offers: `consume` with a callback, so that the acks of one read of the
 * socket leave in one write, and 1,000 messages ahead. Only `stamp` jobs are looked into.
 */
import { type JsMsg, jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { JobRecord } from '../measure/records.ts'
import { jobStream } from '../stage/stage.ts'

const [url, handler] = process.argv.slice(2)

process.once('SIGTERM', () => process.exit(0))
const connection = await connect({ servers: url! })
const consumer = await jetstream(connection).consumers.get(jobStream, handler!)
await consumer.consume({ max_messages: 1_000, callback: handler === 'stamp' ? stampAndAck() : ack })
process.stdout.write('ready\n')

function ack(message: JsMsg): void {
  message.ack()
}

function stampAndAck(): (message: JsMsg) => void {
  const record = new JobRecord()
  return (message) => {
    const { n, at } = message.json<{ n: number; at: number }>()
    record.started(n, at)
    message.ack()
  }
}
