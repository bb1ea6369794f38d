import type { Named, RunOptions } from '../scenario.ts'
import type { Sample } from './metrics.ts'

/** What a contestant is asked to do. */
export type Order = {
  /** Whose jobs are to be taken; a folder of `handlers/`, and a name of `measure/work.ts`. */
  readonly handler: string
  /** Jobs that will come in all. */
  readonly jobs: number
  /** How often each of them runs. @default 1 */
  readonly runs?: number
  /** How many of them may run at once, for jobs that wait. @default the contestant's own fastest */
  readonly concurrency?: number
  /** Settings of a supervisor, by environment variable. */
  readonly settings?: Record<string, string>
}

/** A process that takes jobs. */
export type Running = {
  readonly pid: number
  /** Rejects when it ends by itself; never resolves. */
  readonly failure: Promise<never>
  /** What it counts itself, when it does. */
  readonly readMetrics: (() => Promise<Sample[]>) | undefined
  stop(): Promise<void>
}

/** Ways to enqueue: each job after the answer for the one before, many under way, many in one call. */
export type EnqueueMode = 'one by one' | 'pipelined' | 'bulk'

/** How enqueuing went, without the first half of the jobs. */
export type Enqueued = { readonly jobs: number; readonly elapsedMs: number; readonly clientCpuMs: number }

/** A server with an empty queue for each handler, for one run. */
export type Ground = {
  /** CPU time of the server and all of its processes so far. */
  serverCpuMs(): number
  /** For whatever the processes under test write; removed after the run. */
  readonly dir: string
  /** Puts jobs, numbered from 0, into the queue. */
  fill(handler: string, jobs: number, payloadBytes: number): Promise<void>
  /**
   * Puts more of them in, numbered from `first`, while the process that takes them stands still, and returns what lets
   * it go on. Missing where the process waits for its server with each job anyway.
   */
  refill?(
    running: Running,
    handler: string,
    first: number,
    jobs: number,
    payloadBytes: number,
  ): Promise<() => void>
  /** Lets a process of its own enqueue jobs, numbered from `first`, at a steady rate, whatever becomes of them. */
  pace(handler: string, perSecond: number, jobs: number, first?: number): Promise<void>
  /** Lets a process of its own enqueue jobs as fast as it can. */
  enqueue(handler: string, mode: EnqueueMode, jobs: number, payloadBytes: number): Promise<Enqueued>
  /** Resolves when the process is ready to take jobs, or takes them already. */
  start(order: Order): Promise<Running>
  /** How many of the jobs that were put in are not done, as the server or the process that takes them says. */
  left(handler: string): Promise<number>
  /**
   * Makes sure, from the server's state, that so many jobs were stored and that none is done.
   *
   * @throws {BenchError} otherwise
   */
  checkStored(handler: string, jobs: number): Promise<void>
  /**
   * Makes sure that all jobs are done, and that each ran once, by all that is known.
   *
   * @throws {BenchError} otherwise
   */
  checkDone(handler: string, jobs: number, running: Running): Promise<void>
}

/** A system that gets jobs done. */
export type Contestant = Named & {
  /** Jobs of a load, as a share of what the fastest get; for those that would take minutes. @default 1 */
  readonly share?: number
  /** Fewer would be taken in so few steps that there is nothing to measure. @default 0 */
  readonly leastJobs?: number
  /** Starts its server, with a queue for each handler. */
  open(options: RunOptions, handlers: readonly string[]): Promise<Ground>
}
