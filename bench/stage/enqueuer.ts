/**
 * Enqueues jobs as fast as it can and prints how long that took:
 * `node enqueuer.js <url> <raw | raw with ids | raw with ids and replies | nats.js | millrace> <one by one | pipelined | bulk> <handler> <jobs> <payload bytes>`.
 *
 * Every job is confirmed by the server before it counts. The first half does not count.
 */
import { jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { createClient } from 'millrace/client'
import type { Enqueued, EnqueueMode } from '../contestants/contestant.ts'
import { numberedPayload } from './preload.ts'
import { openRawPublisher, type RawPublisherOptions } from './raw-publisher.ts'

/** Enqueues jobs `from` to `to` - 1 and resolves when all are confirmed. */
type Enqueue = (from: number, to: number) => Promise<void>

const [url, kind, mode, handler, count, payloadBytes] = process.argv.slice(2)
/** Jobs that may be under way, alike for all who pipeline. */
const ahead = 2_000
const payloadOf = (n: number) => numberedPayload(n, Number(payloadBytes))

const openers: Record<string, () => Promise<Enqueue>> = {
  raw: () => openRaw(),
  'raw with ids': () => openRaw({ withIds: true }),
  'raw with ids and replies': () => openRaw({ withIds: true, withReplies: true }),
  'nats.js': openNats,
  millrace: openMillrace,
}
const enqueue = await openers[kind!]!()
const jobs = Number(count)
const warmUp = Math.floor(jobs / 2)
await enqueue(0, warmUp)
const before = process.cpuUsage()
const began = performance.now()
await enqueue(warmUp, jobs)
const elapsedMs = performance.now() - began
const { user, system } = process.cpuUsage(before)
const enqueued: Enqueued = { jobs: jobs - warmUp, elapsedMs, clientCpuMs: (user + system) / 1_000 }
process.stdout.write(`${JSON.stringify(enqueued)}\n`, () => process.exit(0))

async function openRaw(each: Omit<RawPublisherOptions, 'ahead'> = {}): Promise<Enqueue> {
  const publisher = await openRawPublisher(url!, `jobs.${handler}`, {
    ...each,
    ahead: mode === 'one by one' ? 1 : ahead,
  })
  return (from, to) => publisher.publish(from, to, payloadOf)
}

async function openNats(): Promise<Enqueue> {
  const js = jetstream(await connect({ servers: url! }))
  return byCalls((n) => js.publish(`jobs.${handler}`, payloadOf(n)))
}

async function openMillrace(): Promise<Enqueue> {
  const client = await createClient({ servers: url!, environment: {} })
  const { pad } = JSON.parse(payloadOf(Number(count)))
  if (mode !== 'bulk') return byCalls((n) => client.enqueue(handler!, { n, pad }))
  return async (from, to) => {
    const { stored } = await client.enqueueMany(payloadsOf(from, to, pad), {
      handler: handler!,
      inFlightJobs: ahead,
    })
    if (stored !== to - from) throw new Error(`stored ${stored} of ${to - from} jobs`)
  }
}

function* payloadsOf(from: number, to: number, pad: string) {
  for (let n = from; n < to; n += 1) yield { payload: { n, pad } }
}

/** One call for each job: the next when one was answered, or as many at once as may be under way. */
function byCalls(call: (n: number) => Promise<unknown>): Enqueue {
  return async (from, to) => {
    let next = from
    const work = async () => {
      while (next < to) await call(next++)
    }
    const workers = (mode as EnqueueMode) === 'one by one' ? 1 : ahead
    await Promise.all(Array.from({ length: workers }, work))
  }
}
