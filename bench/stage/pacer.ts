/**
 * A publisher that keeps its own time, whatever becomes of its jobs (an open loop):
 * `node pacer.js <url> <subject> <jobs per second> <jobs> <number of the first>`.
 */
import { connect } from '@nats-io/transport-node'
import { keepPace } from './keep-pace.ts'

const [url, subject, perSecond, jobs, first] = process.argv.slice(2)
const connection = await connect({ servers: url! })
const send = ({ n, at }: { n: number; at: number }) => connection.publish(subject!, `{"n":${n},"at":${at}}`)
await keepPace(Number(perSecond), Number(jobs), send, Number(first))
await connection.close()
process.stdout.write(`{"sent":${jobs}}\n`)
