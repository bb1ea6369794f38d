/**
 * The process of the bare contestant: `node bare-loop.js <url> <handlers>`, with
 * commas between them. Prints a line when it is up.
 *
 * The fastest that nats.js offers: `consume` with a callback, so that the acks of one read of the
 * socket leave in one write, and 1,000 messages ahead. Jobs of `noop` are not looked into; those of
 * `flaky` are given back once.
 */
import { type JsMsg, jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { type WorkPayload, works } from '../measure/work.ts'
import { jobStream } from '../stage/stage.ts'

const [url, handlers] = process.argv.slice(2)

process.once('SIGTERM', () => process.exit(0))
const connection = await connect({ servers: url! })
const callbacks: Record<string, (message: JsMsg) => void> = { noop: ack, flaky: failOnce }
for (const handler of handlers!.split(',')) {
  const consumer = await jetstream(connection).consumers.get(jobStream, handler)
  await consumer.consume({ max_messages: 1_000, callback: callbacks[handler] ?? workAndAck(handler) })
}
process.stdout.write('ready\n')

function ack(message: JsMsg): void {
  message.ack()
}

function failOnce(message: JsMsg): void {
  if (message.info.deliveryCount === 1) message.nak()
  else message.ack()
}

function workAndAck(handler: string): (message: JsMsg) => void {
  const work = works[handler]!()
  return (message) => {
    const done = work(message.json<WorkPayload>())
    if (done === undefined) message.ack()
    else void done.then(() => message.ack())
  }
}
