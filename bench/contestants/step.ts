/**
 * Does one step of a job's way again and again: `node step.js <url> <publish | run | run ahead> <times> <threads>`.
 * Prints how many times a second, and what a time costs.
 */
import path from 'node:path'
import { Piscina } from 'piscina'
import { numberedPayload } from '../stage/preload.ts'
import { openRawPublisher } from '../stage/raw-publisher.ts'

const [url, mode, count, threads] = process.argv.slice(2)
const payloadBytes = 256
const runsAhead = 500

const times = Number(count)
const warmUp = Math.floor(times / 10)
const doFrom = mode === 'publish' ? await publisher() : runner(mode === 'run' ? 1 : runsAhead)
await doFrom(0, warmUp)
const before = process.cpuUsage()
const began = performance.now()
await doFrom(warmUp, times)
const elapsedMs = performance.now() - began
const { user, system } = process.cpuUsage(before)
const answer = {
  perSecond: (times - warmUp) / (elapsedMs / 1_000),
  cpuUs: (user + system) / (times - warmUp),
}
process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0))

async function publisher() {
  const { publish } = await openRawPublisher(url!, 'jobs.noop', { ahead: 1 })
  return (from: number, to: number) => publish(from, to, (n) => numberedPayload(n, payloadBytes))
}

function runner(ahead: number) {
  const pool = new Piscina({
    filename: path.join(import.meta.dirname, 'pool-thread.js'),
    minThreads: Number(threads),
    maxThreads: Number(threads),
    workerData: 'noop',
    atomics: 'disabled',
  })
  return async (from: number, to: number) => {
    let next = from
    const work = async () => {
      while (next < to) await pool.run(numberedPayload(next++, payloadBytes))
    }
    await Promise.all(Array.from({ length: ahead }, work))
  }
}
