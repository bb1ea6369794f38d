import os from 'node:os'
import path from 'node:path'
import { recordsVariable } from '../measure/records.ts'
import type { Stage } from '../stage/stage.ts'
import { startChild } from './child.ts'
import type { Contestant, Order, Running } from './contestant.ts'
import { type OnNats, onNats } from './nats-ground.ts'

/** nats.js alone, consuming and acking in one process and one thread: what everything is compared with. */
export const bare: Contestant = onNats('bare nats.js', {
  about: '`consume()` of nats.js with a callback that acks, 1,000 messages ahead, in one thread.',
  start: (stage, order) => startLoop(stage, order, 'bare-loop.js'),
  isRecorded: (handler) => handler !== 'noop',
})

/** The protocol by hand: what no client can be faster than. */
export const raw = byHand(
  'raw',
  'raw protocol',
  'The least work that the protocol allows, over a socket: two pulls of 500 under way, acks written together.',
)

/** The same with an id for each job, as the client of Millrace gives it; the server then looks for duplicates. */
export const rawWithIds = byHand(
  'raw with ids',
  'raw protocol with ids',
  'The raw protocol, with a `Nats-Msg-Id` for each job.',
)

/** The same with a subject of its own for the answer to each job, by which a client knows whose answer it is. */
export const rawWithReplies = byHand(
  'raw with ids and replies',
  'raw protocol with ids and replies',
  'The same, with a reply subject of its own for each job.',
)

/** Jobs of each thread that computes, as many as 30 ms take, the one that runs included: what Millrace has at hand. */
const computingAhead = 7
/** Jobs of each thread when they wait or take no time. */
const waitingAhead = 500

/** The same with threads that do the work: the least supervisor. */
export const rawThreads: Contestant = onNats('raw protocol, threads', {
  about:
    'The raw protocol, in a main thread that hands jobs to threads and acks each when it is done; nothing else. As many threads as processors, with 7 ' +
    'jobs each, for jobs that compute; one with 500 for others.',
  start: (stage, order) => startRawThreads(stage, order),
})

/** What one writes first: a pool, `piscina.run()` for each job, and a timer that aborts it at its deadline. */
export const naive: Contestant = {
  ...onNats('naive Piscina', {
    about:
      'One `piscina.run()` for each job, with an AbortController and a timer for its deadline; at most 500 under way; `atomics` is disabled. ' +
      'No retries, leases, metrics or logs.',
    start: (stage, order) => startLoop(stage, order, 'naive-loop.js', stage.options.threads),
  }),
  share: 0.25,
}

/** `enqueuer` is the name by which `stage/enqueuer.ts` knows how it publishes. */
function byHand(enqueuer: NonNullable<OnNats['enqueuer']>, name: string, about: string): Contestant {
  return onNats(name, {
    about,
    start: (stage, order) => startLoop(stage, order, 'raw-loop.js'),
    enqueuer,
    isRecorded: () => false,
  })
}

/** As many threads as processors for jobs that compute, and one for others. */
export function startRawThreads(stage: Stage, order: Order): Promise<Running> {
  const args = order.handler === 'burn' ? [os.availableParallelism(), computingAhead] : [1, waitingAhead]
  return startLoop(stage, order, 'raw-threads.js', ...args)
}

/** Starts a script of this folder that takes jobs and prints a line when it does. */
export async function startLoop(
  stage: Stage,
  order: Order,
  script: string,
  ...args: number[]
): Promise<Running> {
  let isReady: () => void
  const ready = new Promise<void>((resolve) => {
    isReady = resolve
  })
  const child = await startChild(stage.options, {
    script: path.join(import.meta.dirname, script),
    args: [stage.broker.url, order.handler, ...args.map(String)],
    environment: { [recordsVariable]: stage.dir },
    isProfiled: true,
    onLine: () => isReady(),
  })
  await Promise.race([ready, child.failure])
  return { ...child, readMetrics: undefined }
}
