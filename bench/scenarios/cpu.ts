import os from 'node:os'
import path from 'node:path'
import { rawThreads } from '../contestants/bare.ts'
import { runChild } from '../contestants/child.ts'
import type { Contestant } from '../contestants/contestant.ts'
import { millraceWith } from '../contestants/millrace.ts'
import {
  bullmqBest,
  bullmqProcesses,
  bullmqThreads,
  graphileProcesses,
  graphileWorkers,
} from '../contestants/peers.ts'
import { burnMs } from '../measure/work.ts'
import type { RunOptions, Scenario, Values } from '../scenario.ts'
import { watchDrain } from '../stage/watch.ts'

const handler = 'burn'
const cores = os.availableParallelism()
/** Jobs of each thread: some seconds of work. */
const jobsPerThread = 600

/** What so many threads can do at most: the same work in a loop, and nothing else. */
type Burner = { readonly name: string; readonly threads: number; readonly isLoop: true }
type Worker = Contestant & { readonly threads: number }

const threadCounts = [...new Set([1, 2, cores])].filter((threads) => threads <= cores)

/** Jobs that compute: how much of the processors they get. */
export const cpu: Scenario = {
  name: 'cpu',
  title: `Jobs that compute for ${burnMs} ms`,
  method:
    `Jobs that compute for ${burnMs} ms (PBKDF2, as many iterations as take that long on this machine), drained by one process with so many threads. ` +
    'Compared with as many threads that do the same in a loop without any jobs, in the same round. Peers in process have one thread for everything, ' +
    'whatever their settings say, so two processes of each take part, too; pg-boss is left out, as it completes a batch as one. The raw protocol shows what is left of the processors beside a server and a main thread that does nothing but ' +
    'hand jobs to threads and ack them. The first half does not count.',
  contestants: threadCounts.flatMap((threads): (Burner | Worker)[] => [
    { name: burnersOf(threads), threads, isLoop: true },
    { ...millraceWith(ownOf(threads), { MILLRACE_THREADS: String(threads) }), threads },
    ...(threads === cores ? [{ ...rawThreads, threads }] : []),
    ...(threads === 2
      ? [
          ...[bullmqBest[1]!, bullmqThreads, graphileWorkers[0]!].map((peer) => ({ ...peer, threads: 1 })),
          ...[bullmqProcesses, graphileProcesses].map((peer) => ({ ...peer, threads: 2 })),
        ]
      : []),
  ]),
  floor: burnersOf(threadCounts.at(-1)!),
  quick: [burnersOf(threadCounts.at(-1)!), ownOf(threadCounts.at(-1)!)],
  measures: [{ key: 'jobsPerSecond', label: 'jobs/s', digits: 0 }],
  goals: threadCounts.map((threads) => ({
    measure: 'jobsPerSecond',
    of: ownOf(threads),
    against: [burnersOf(threads)],
    atLeast: 0.95,
  })),
  async run(contestant, options) {
    const { threads } = contestant as Burner | Worker
    const jobs = threads * (options.quick ? 40 : jobsPerThread)
    return 'isLoop' in contestant
      ? burnLoop(threads, jobs, options)
      : drainBurns(contestant as Worker, jobs, options)
  },
}

function burnersOf(threads: number): string {
  return `${threads} burning ${threads === 1 ? 'thread' : 'threads'}`
}

function ownOf(threads: number): string {
  return `millrace, ${threads} ${threads === 1 ? 'thread' : 'threads'}`
}

function burnLoop(threads: number, jobs: number, options: RunOptions): Promise<Values> {
  return runChild<{ jobsPerSecond: number }>(options, {
    script: path.join(import.meta.dirname, '../contestants/burner.js'),
    args: [String(threads), String(jobs)],
  })
}

async function drainBurns(worker: Worker, jobs: number, options: RunOptions): Promise<Values> {
  const all = jobs * 2
  const ground = await worker.open(options, [handler])
  await ground.fill(handler, all, 64)
  // As many at once as there are threads for those that cannot help it, such as a pool of theirs.
  const running = await ground.start({ handler, jobs: all })
  const { jobsPerSecond } = await watchDrain(ground, running, handler, jobs)
  await ground.checkDone(handler, all, running)
  return { jobsPerSecond: jobsPerSecond! }
}
