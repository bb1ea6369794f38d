/**
 * A supervisor as one writes it first: `node naive-loop.js <url> <handler> <threads>`. Prints a line when
 * it is up. Each job is one `piscina.run()` with an AbortController and a timer for its deadline; it is
 * acked when that resolves. No retries, no heartbeats, no metrics.
 */
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type JsMsg, jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { Piscina } from 'piscina'
import { jobStream } from '../stage/stage.ts'

const [url, handler, threads] = process.argv.slice(2)
const deadlineMs = 30_000
const mostInFlight = 500

process.once('SIGTERM', () => process.exit(0))
const pool = new Piscina({
  filename: path.join(import.meta.dirname, 'pool-thread.js'),
  minThreads: Number(threads),
  maxThreads: Number(threads),
  workerData: handler,
  // The default puts idle threads to sleep so deeply that no timer of theirs fires, not even the record's.
  atomics: 'disabled',
})
const connection = await connect({ servers: url! })
const consumer = await jetstream(connection).consumers.get(jobStream, handler!)
const messages = await consumer.consume({ max_messages: mostInFlight })
process.stdout.write('ready\n')

let inFlight = 0
for await (const message of messages) {
  inFlight += 1
  void run(message)
  while (inFlight >= mostInFlight) await wait(1)
}

async function run(message: JsMsg): Promise<void> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), deadlineMs)
  try {
    await pool.run(message.string(), { signal: controller.signal })
    message.ack()
  } catch {
    message.nak()
  } finally {
    clearTimeout(timer)
    inFlight -= 1
  }
}
