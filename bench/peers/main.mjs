/**
 * The processes of other job systems: `node main.mjs <system> <role> <JSON>`.
 *
 * Plain JavaScript that is run where it lies, because the systems are installed here only, and only when
 * they are to take part. Each system's file exports the same few functions:
 *
 * - `prepare({ url, handlers })` makes tables or queues;
 * - `openQueue({ url, handler })` answers `add(payload)`, `addMany(payloads)` and `close()`;
 * - `take({ url, handler, work, jobs, settings, onDone })` begins to take jobs;
 * - `readState({ url, handler })` answers how many jobs are stored that are not done, and how many failed.
 *
 * A role prints its answer as one line of JSON; `take` prints such lines for as long as it runs.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { works } from '../../build/bench/measure/work.js'
import { keepPace } from '../../build/bench/stage/keep-pace.js'
import { numberedPayload } from '../../build/bench/stage/preload.js'

const [system, role, text] = process.argv.slice(2)
const order = JSON.parse(text)
const peer = await import(`./${system}.mjs`)
/** Jobs in one call, for those who add many at once. */
const bulkSize = 1_000
/** Calls that may be under way, for those who add one after the other without waiting. */
const callsAhead = 100
const reportMs = 20

const roles = { prepare, fill, enqueue, pace, take, state }
await roles[role]()

async function prepare() {
  await peer.prepare(order)
  say({ prepared: true })
  process.exit(0)
}

async function fill() {
  const queue = await peer.openQueue(order)
  await addInBulk(queue, 0, order.jobs)
  say({ filled: order.jobs })
  process.exit(0)
}

/** As fast as it can; the first half does not count. */
async function enqueue() {
  const queue = await peer.openQueue(order)
  const ways = {
    'one by one': (from, to) => addOneByOne(queue, from, to, 1),
    pipelined: (from, to) => addOneByOne(queue, from, to, callsAhead),
    bulk: (from, to) => addInBulk(queue, from, to),
  }
  const warmUp = Math.floor(order.jobs / 2)
  await ways[order.mode](0, warmUp)
  const before = process.cpuUsage()
  const began = performance.now()
  await ways[order.mode](warmUp, order.jobs)
  const elapsedMs = performance.now() - began
  const { user, system: inKernel } = process.cpuUsage(before)
  say({ jobs: order.jobs - warmUp, elapsedMs, clientCpuMs: (user + inKernel) / 1_000 })
  process.exit(0)
}

async function addInBulk(queue, from, to) {
  for (let n = from; n < to; n += bulkSize) {
    const length = Math.min(bulkSize, to - n)
    await queue.addMany(Array.from({ length }, (_, index) => payloadOf(n + index)))
  }
}

async function addOneByOne(queue, from, to, ahead) {
  let next = from
  const work = async () => {
    while (next < to) await queue.add(payloadOf(next++))
  }
  await Promise.all(Array.from({ length: ahead }, work))
}

function payloadOf(n) {
  return JSON.parse(numberedPayload(n, order.payloadBytes))
}

async function pace() {
  const queue = await peer.openQueue(order)
  const adding = []
  await keepPace(order.perSecond, order.jobs, (payload) => adding.push(queue.add(payload)), order.first)
  await Promise.all(adding)
  say({ sent: order.jobs })
  process.exit(0)
}

/** Says how many jobs are done, and when nothing of them is stored any more. */
async function take() {
  process.once('SIGTERM', () => process.exit(0))
  let done = 0
  let said = 0
  let saidAt = 0
  const sayDone = () => {
    said = done
    saidAt = performance.now()
    say({ done })
  }
  await peer.take({
    ...order,
    work: works[order.handler](),
    onDone: () => {
      done += 1
      // Jobs that compute may keep this loop from its timers for long.
      if (done < order.jobs && performance.now() - saidAt > reportMs) sayDone()
    },
  })
  say({ ready: true })
  for (;;) {
    await wait(reportMs)
    if (done === said) continue
    // The last of them is done when the server has noted it, which some do later and in batches.
    while (done >= order.jobs && (await peer.readState(order)).left > 0) await wait(2)
    sayDone()
  }
}

async function state() {
  say(await peer.readState(order))
  process.exit(0)
}

function say(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
