import { MessageChannel } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type { PoolName } from '../core/handler-definition.ts'
import type { AttemptError, Outcome } from '../core/outcome.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import type { Lane, PoolListener, ThreadEnd } from '../engine/lanes-port.ts'
import { describeThrown } from './error-transfer.ts'
import { type LaneOwner, ThreadLaneHandle } from './lane.ts'
import type { FromThread, HandlerFault, HandlerFile, LaneTask, ProgressMessage } from './lane-protocol.ts'
import { tellToEnd } from './tell-to-end.ts'

export interface LanePoolOptions {
  readonly name: PoolName
  readonly threads: number
  /** Jobs at once on each thread. */
  readonly concurrency: number
  /** Slots of each thread: jobs at once plus jobs posted ahead. */
  readonly slots: number
  readonly memoryMb: number | undefined
  /** Every handler; a job names its own by its place in this list. */
  readonly handlers: readonly HandlerFile[]
  /** The names of those that run in this pool; its threads import no others. */
  readonly pool: ReadonlySet<string>
  readonly namespace: string
  readonly supervisorId: string
  readonly logLevel: string
  /** The most bytes of JSON that a handler's result may have. */
  readonly resultMaxBytes: number
  readonly ackWaitMs: number
  /** A thread that has not ended this long after it was told to is stuck in native code. */
  readonly stuckMs: number
}

/** What a pool tells, besides what every pool tells the engine. */
export interface LanePoolListener extends PoolListener {
  threadEnded(pool: PoolName, reason: ThreadEnd): void
  handlersFailed(pool: PoolName, faults: readonly HandlerFault[]): void
  leaked(lane: Lane, leak: Extract<FromThread, { kind: 'leak' }>): void
  progressed(progress: ProgressMessage): void
  /** The pool itself reported an error that belongs to no job. */
  poolError(pool: PoolName, error: unknown): void
}

/** Room for the short-lived objects of a thread; Node's default for threads collects them several times as often. */
const youngGenerationMb = 32
/** Pause before a thread that keeps dying is replaced once more; the first replacements are immediate. */
const quickRestarts = 20
const longestPauseMs = 1_000
/** How long the threads may take to end when the pool is closed. */
const closeMs = 1_000

/**
 * The threads of one pool, each running one lane.
 *
 * Piscina supplies, limits and replaces the threads: a lane is one long task of it. A lane that ends,
 * for whatever reason, is reported only after its thread's `exit`, because Piscina forgets a thread
 * before it is dead; then a new lane takes its place.
 */
export class LanePool implements LaneOwner {
  readonly name: PoolName
  readonly lanes: ThreadLaneHandle[] = []
  readonly stuck = new Set<ThreadLaneHandle>()
  /** Resolves when the first thread is ready. */
  readonly firstReady: Promise<void>
  readonly #options: LanePoolOptions
  readonly #listener: LanePoolListener
  readonly #piscina: Piscina
  readonly #aborts = new WeakMap<ThreadLaneHandle, AbortController>()
  #isReady: () => void = () => {}
  #closing = false
  #whenGone: () => void = () => {}
  #endsInARow = 0

  constructor(options: LanePoolOptions, listener: LanePoolListener) {
    this.name = options.name
    this.#options = options
    this.#listener = listener
    this.firstReady = new Promise((resolve) => {
      this.#isReady = resolve
    })
    this.#piscina = new Piscina({
      filename: new URL('thread-entry.bundle.js', import.meta.url).href,
      minThreads: options.threads,
      maxThreads: options.threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      // An idle lane must turn its event loop, or a finished job's timers fire inside the next job.
      atomics: 'disabled',
      recordTiming: false,
      resourceLimits: {
        maxYoungGenerationSizeMb: youngGenerationMb,
        ...(options.memoryMb === undefined ? {} : { maxOldGenerationSizeMb: options.memoryMb }),
      },
    })
    this.#piscina.on('error', (error) => listener.poolError(this.name, error))
    for (let index = 0; index < options.threads; index += 1) this.#startLane()
  }

  #startLane(): void {
    const { port1, port2 } = new MessageChannel()
    const { slots, concurrency, ackWaitMs } = this.#options
    const lane = new ThreadLaneHandle({ pool: this.name, slots, concurrency, ackWaitMs }, port1, this)
    const task: LaneTask = {
      port: port2,
      table: lane.table.buffer,
      slots,
      concurrency,
      handlers: this.#options.handlers.map((file) => (this.#options.pool.has(file.name) ? file : undefined)),
      namespace: this.#options.namespace,
      supervisorId: this.#options.supervisorId,
      logLevel: this.#options.logLevel,
      resultMaxBytes: this.#options.resultMaxBytes,
    }
    const abort = new AbortController()
    this.#aborts.set(lane, abort)
    this.lanes.push(lane)
    this.#piscina.run(task, { signal: abort.signal, transferList: [port2] }).then(
      () => this.#over(lane, undefined),
      (error: unknown) => this.#over(lane, error),
    )
  }

  ready(lane: ThreadLaneHandle, message: Extract<FromThread, { kind: 'ready' }>): void {
    lane.threadId = message.threadId
    lane.traces = message.traces
    lane.worker = this.#piscina.threads.find((worker) => worker.threadId === message.threadId)
    if (message.faults.length > 0) this.#listener.handlersFailed(this.name, message.faults)
    if (lane.endReason || this.#closing) return
    lane.open = true
    this.#listener.laneReady(lane)
    this.#isReady()
  }

  ended(
    lane: ThreadLaneHandle,
    job: InFlightJob,
    outcome: Outcome,
    startedAt: number,
    durationMs: number,
  ): void {
    if (outcome.kind === 'completed') this.#endsInARow = 0
    this.#listener.jobEnded(lane, job, outcome, startedAt, durationMs)
    this.retire(lane)
  }

  late(lane: ThreadLaneHandle, jobs: readonly InFlightJob[]): void {
    this.#listener.jobsLate(jobs)
    this.retire(lane)
  }

  resultsHandled(): void {
    this.#listener.resultsHandled()
  }

  leaked(lane: ThreadLaneHandle, message: Extract<FromThread, { kind: 'leak' }>): void {
    this.#listener.leaked(lane, message)
    // What a finished job left behind may throw again at any time: replace the thread when it has nothing to do.
    lane.retiring = true
    this.retire(lane)
  }

  progressed(message: ProgressMessage): void {
    this.#listener.progressed(message)
  }

  /** Replaces a lane that is to be replaced as soon as it has no job. */
  retire(lane: ThreadLaneHandle): void {
    if (lane.retiring && lane.outstanding === 0) this.kill(lane, 'leak')
  }

  kill(lane: ThreadLaneHandle, reason: ThreadEnd): void {
    if (lane.endReason) return
    lane.endReason = reason
    lane.open = false
    this.#aborts.get(lane)!.abort()
  }

  /** The lane's task is over for Piscina; the thread itself may live on. */
  #over(lane: ThreadLaneHandle, error: unknown): void {
    lane.open = false
    const cause = lane.endReason ? undefined : causeOf(error)
    if (!this.#closing) this.#replace()
    this.#whenExited(lane, () => {
      const wasStuck = this.stuck.delete(lane)
      const index = this.lanes.indexOf(lane)
      if (index >= 0) this.lanes.splice(index, 1)
      const { started, unstarted } = lane.close()
      this.#listener.laneEnded(lane, started, unstarted, lane.culpritKnown ? undefined : cause)
      const reason = lane.endReason ?? (cause?.code === 'out_of_memory' ? 'out_of_memory' : 'crash')
      if (!wasStuck) this.#listener.threadEnded(this.name, reason)
      if (this.#allGone) this.#whenGone()
    })
  }

  get #allGone(): boolean {
    return this.lanes.length === this.stuck.size
  }

  #replace(): void {
    this.#endsInARow += 1
    const excess = this.#endsInARow - quickRestarts
    const pauseMs = excess <= 0 ? 0 : Math.min(longestPauseMs, 2 ** Math.min(excess, 10))
    if (pauseMs === 0) this.#startLane()
    else setTimeout(() => this.#closing || this.#startLane(), pauseMs)
  }

  #whenExited(lane: ThreadLaneHandle, exited: () => void): void {
    const worker = lane.worker
    // threadId is -1 once a worker has exited. A lane that never was ready has run no job.
    if (!worker || worker.threadId === -1) {
      exited()
      return
    }
    const timer = setTimeout(() => {
      this.stuck.add(lane)
      this.#listener.threadEnded(this.name, lane.endReason ?? 'crash')
      this.#listener.laneStuck(lane)
      if (this.#allGone) this.#whenGone()
    }, this.#options.stuckMs)
    const stopTelling = tellToEnd(worker)
    worker.once('exit', () => {
      clearTimeout(timer)
      stopTelling()
      exited()
    })
  }

  /**
   * Ends every thread and waits for its end, which Piscina does not. Jobs still on them are reported; a
   * stuck thread is left alone.
   */
  async close(): Promise<void> {
    this.#closing = true
    const gone = new Promise<void>((resolve) => {
      this.#whenGone = resolve
    })
    for (const lane of this.lanes) {
      lane.endReason ??= 'shutdown'
      lane.open = false
    }
    // Not by aborting each lane's task: Piscina would start a thread in the place of each, just to end it.
    const destroyed = this.#piscina.destroy()
    if (this.#allGone) this.#whenGone()
    await Promise.race([
      Promise.all([destroyed, gone]),
      new Promise((resolve) => setTimeout(resolve, closeMs).unref()),
    ])
  }

  /** How many threads are in which state, for the gauge. */
  countStates(): { starting: number; idle: number; busy: number; stuck: number } {
    const states = { starting: 0, idle: 0, busy: 0, stuck: this.stuck.size }
    for (const lane of this.lanes) {
      if (this.stuck.has(lane)) continue
      if (lane.outstanding > 0) states.busy += 1
      else if (lane.open) states.idle += 1
      else states.starting += 1
    }
    return states
  }
}

function causeOf(error: unknown): AttemptError {
  const described = describeThrown(error)
  if (described.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return {
      code: 'out_of_memory',
      message: 'the thread reached its memory limit (MILLRACE_THREAD_MEMORY_MB)',
    }
  }
  return { code: 'thread_died', message: described.message }
}
