/**
 * A publisher that keeps its own time, whatever becomes of its jobs (an open loop):
 * `node pacer.js <url> <subject> <jobs per second> <jobs>`.
 */
import { connect } from '@nats-io/transport-node'
import { keepPace } from './keep-pace.ts'

const [url, subject, perSecond, jobs] = process.argv.slice(2)
const connection = await connect({ servers: url! })
await keepPace(Number(perSecond), Number(jobs), ({ n, at }) => {
  connection.publish(subject!, `{"n":${n},"at":${at}}`)
})
await connection.close()
process.stdout.write(`{"sent":${jobs}}\n`)
