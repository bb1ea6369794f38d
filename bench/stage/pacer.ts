/**
 * A publisher that keeps its own time, whatever becomes of its jobs (an open loop):
 * `node pacer.js <url> <subject> <jobs per second> <jobs>`.
 *
 * Each job carries the instant at which it should have been sent, so that a publisher that is late
 * makes latencies longer instead of hiding them.
 */
import { connect } from '@nats-io/transport-node'
import { monotonicMs } from '../measure/monotonic.ts'

const [url, subject, perSecond, jobs] = process.argv.slice(2)
const connection = await connect({ servers: url! })
const intervalMs = 1_000 / Number(perSecond)
const beginAt = monotonicMs() + 50
const cell = new Int32Array(new SharedArrayBuffer(4))

for (let n = 0; n < Number(jobs); n += 1) {
  const at = beginAt + n * intervalMs
  // Timers are late by up to a millisecond, this by less than a tenth of one.
  const restMs = at - monotonicMs()
  if (restMs > 0) Atomics.wait(cell, 0, 0, restMs)
  connection.publish(subject!, `{"n":${n},"at":${at}}`)
  await new Promise((resolve) => setImmediate(resolve))
}
await connection.close()
