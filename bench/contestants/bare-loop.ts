/**
 * The process of the bare contestant: `node bare-loop.js <url> <handler> <folder for records>`.
 *
 * The fastest that nats.js documents: `consume` with a callback, so that the acks of one read of the
 * socket leave in one write, and 1,000 messages ahead.
 */
import { jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { jobStream } from '../stage/stage.ts'

const [url, handler] = process.argv.slice(2)
const connection = await connect({ servers: url! })
const consumer = await jetstream(connection).consumers.get(jobStream, handler!)
await consumer.consume({ max_messages: 1_000, callback: (message) => message.ack() })

process.once('SIGTERM', () => process.exit(0))
