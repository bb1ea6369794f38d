import { AsyncLocalStorage } from 'node:async_hooks'
import { completed, type Outcome } from '../core/outcome.ts'
import { AttemptSpans } from '../tracing/attempt-span.ts'
import { EndedJobs } from './ended-jobs.ts'
import type { LoadedHandler } from './handler-import.ts'
import {
  type AbortRequest,
  cell,
  type EndedJob,
  fields,
  type LaneTable,
  type LaneTask,
  openTable,
  phases,
  type ReturnedMessage,
  type ToThread,
} from './lane-protocol.ts'
import { type ClaimedJob, Mailbox } from './mailbox.ts'
import { monotonicMs } from './monotonic.ts'
import { decodePayload } from './payload.ts'
import { encodeReturned } from './return-value.ts'
import { outcomeOfAttempt, runHandler } from './run-handler.ts'
import { isThenable } from './schema.ts'
import { ThreadGuard } from './thread-guard.ts'
import { ThreadJob } from './thread-job.ts'

/** After this long without a turn of the event loop, timers and sockets of the jobs get theirs. */
const turnMs = 2

/**
 * The actor loop of one thread.
 *
 * 1. Batches of jobs arrive in the mailbox; up to `concurrency` of them run at once.
 * 2. A job is claimed in the shared table, unless its lease has run out, decoded, checked against its schema, and run.
 * 3. Its end is marked in the table at once and reported with others at the end of the turn, after
 *    rejections that nobody awaited had their chance to make it a failure.
 * 4. At least every 2 ms the event loop gets a turn.
 */
export class ThreadLane {
  /** Settles when the supervisor closes the port. */
  readonly closed: Promise<void>
  readonly #task: LaneTask
  readonly #table: LaneTable
  readonly #owner = new AsyncLocalStorage<ThreadJob>()
  readonly #mailbox: Mailbox
  /** By slot. */
  readonly #running: (ThreadJob | undefined)[] = []
  #runningCount = 0
  /** On the monotonic clock; when the last one ended. */
  #endedAt = 0
  /** What is begun now is the last job's. */
  #isEntered = false
  readonly #ended = new EndedJobs()
  readonly #guard: ThreadGuard
  #handlers: readonly (LoadedHandler | undefined)[] = []
  /** Undefined when nobody collects spans in this thread. */
  #spans: AttemptSpans | undefined
  #turnStartedAt = 0
  #turnAsked = false
  #fillAsked = false

  constructor(task: LaneTask) {
    this.#task = task
    this.#table = openTable(task.table, task.slots)
    this.#mailbox = new Mailbox(this.#table)
    this.#guard = new ThreadGuard({
      task,
      table: this.#table,
      ended: this.#ended,
      currentJob: () => this.currentJob(),
      report: () => this.#report(),
    })
    this.closed = new Promise((resolve) => task.port.once('close', resolve))
  }

  /** The job in whose name the current code runs, if any. */
  currentJob(): ThreadJob | undefined {
    return this.#owner.getStore()
  }

  /** Names who is to blame before anything that ends the thread does so. */
  guard(): void {
    this.#guard.start()
  }

  /** Begins to take jobs. Whoever registers an SDK for traces has done so by now: before the handlers, or in one. */
  serve(handlers: readonly (LoadedHandler | undefined)[]): { traces: boolean } {
    this.#handlers = handlers
    this.#spans = AttemptSpans.create()
    this.#task.port.on('message', (message: ToThread) => {
      this.#turnStartedAt = monotonicMs()
      if ('kind' in message) this.#abort(message)
      else {
        this.#mailbox.put(message)
        this.#fill()
      }
    })
    return { traces: this.#spans !== undefined }
  }

  #abort(request: AbortRequest): void {
    const job = this.#running[request.slot]
    if (!job || job.ticket !== request.ticket) return
    job.abortCode = request.code
    const { cells, current } = this.#table
    const started = cell(job.ticket, phases.started)
    Atomics.compareExchange(cells, job.slot, started, cell(job.ticket, phases.signalled))
    Atomics.store(current, 0, job.slot + 1)
    this.#owner.run(job, () => job.context.abort(request.code))
    Atomics.store(current, 0, 0)
  }

  /** Starts jobs while there is room and the turn is young. */
  #fill(): void {
    const hasRoom = this.#startJobs()
    this.#leave()
    if (hasRoom) this.#fillSoon()
  }

  /** True when there is room for more as soon as whatever can end now has. */
  #startJobs(): boolean {
    let now = monotonicMs()
    while (this.#runningCount < this.#task.concurrency) {
      // What failed is told before anything else begins: the next job may block the thread.
      if (this.#ended.hasFailures || now - this.#turnStartedAt > turnMs) {
        if (!this.#mailbox.isEmpty) this.#askForTurn()
        return false
      }
      const claimed = this.#mailbox.claim(now)
      if (this.#mailbox.skipped) this.#askForTurn()
      if (!claimed) return false
      this.#start(claimed)
      if (this.#runningCount > 0) return this.#runningCount < this.#task.concurrency
      // It has ended just now.
      now = Math.max(now, this.#endedAt)
    }
    return false
  }

  /**
   * Whatever can end now ends before the next job begins, which may block the thread or end it: a tick that is asked
   * for among the micro-tasks comes when there are none left. A job that has its thread for itself waits for nobody.
   */
  #fillSoon(): void {
    if (this.#task.concurrency === 1) {
      this.#fill()
      return
    }
    if (this.#fillAsked) return
    this.#fillAsked = true
    queueMicrotask(() =>
      process.nextTick(() => {
        this.#fillAsked = false
        this.#fill()
      }),
    )
  }

  #start(claimed: ClaimedJob): void {
    const { numbers, at } = claimed
    const handler = this.#handlers[numbers[at + fields.handler]!]
    if (!handler) {
      this.#refuse(claimed)
      return
    }
    const job = new ThreadJob(this.#task, handler, claimed)
    this.#running[job.slot] = job
    this.#runningCount += 1
    const expiresAt = numbers[at + fields.expiresAt]!
    if (expiresAt !== Number.POSITIVE_INFINITY && Date.now() >= expiresAt) {
      this.#end(job, { kind: 'expired' })
      return
    }
    Atomics.store(this.#table.current, 0, job.slot + 1)
    try {
      const start = numbers[at + fields.offset]!
      const end = start + numbers[at + fields.length]!
      const payload = decodePayload(claimed.payloads, numbers[at + fields.json] === 1, start, end)
      const run = this.#spans ? this.#traced(this.#spans, job) : runHandler
      this.#enter(job)
      const result = run(handler, job.context, payload)
      if (isThenable(result)) {
        this.#leave()
        this.#await(job, result)
      } else this.#complete(job, result)
    } catch (thrown) {
      this.#end(job, outcomeOfAttempt(thrown))
    } finally {
      Atomics.store(this.#table.current, 0, 0)
    }
  }

  /**
   * From here on what is begun is this job's, until another one is entered or `#leave`: `run()` would do both for each
   * job, and either takes Node 24 some 70 ns.
   */
  #enter(job: ThreadJob): void {
    this.#owner.enterWith(job)
    this.#isEntered = true
  }

  #leave(): void {
    if (!this.#isEntered) return
    this.#owner.enterWith(undefined as unknown as ThreadJob)
    this.#isEntered = false
  }

  #traced(spans: AttemptSpans, job: ThreadJob): typeof runHandler {
    // What an SDK begins with a span is nobody's, and least of all the job's before.
    this.#leave()
    const span = spans.begin(job.facts(), job.startedAtMs)
    job.span = span
    return span ? (...args) => span.run(() => runHandler(...args)) : runHandler
  }

  #await(job: ThreadJob, result: PromiseLike<unknown>): void {
    Promise.resolve(result).then(
      (value) => {
        this.#complete(job, value)
        this.#fillSoon()
      },
      (thrown: unknown) => {
        this.#end(job, outcomeOfAttempt(thrown))
        this.#fillSoon()
      },
    )
  }

  /** This thread could not import the handler; the job is given back, and the supervisor pulls no more. */
  #refuse({ numbers, at }: ClaimedJob): void {
    const ended: EndedJob = {
      slot: numbers[at + fields.slot]!,
      ticket: numbers[at + fields.ticket]!,
      durationMs: 0,
      outcome: { kind: 'interrupted' },
    }
    this.#task.port.postMessage({ kind: 'results', completed: [], others: [ended] })
  }

  /** Its handler returned; what, matters only where results are kept. */
  #complete(job: ThreadJob, value: unknown): void {
    if (job.handler.options.result === true && !job.outcome) {
      const message: ReturnedMessage = {
        kind: 'returned',
        slot: job.slot,
        ticket: job.ticket,
        value: this.#owner.run(job, encodeReturned, value, this.#task.resultMaxBytes),
      }
      this.#task.port.postMessage(message)
    }
    this.#end(job, completed)
  }

  #end(job: ThreadJob, ending: Outcome): void {
    let outcome = ending
    if (job.outcome) return
    if (outcome.kind === 'completed' && job.floating) outcome = { kind: 'failed', error: job.floating }
    job.outcome = outcome
    this.#endedAt = monotonicMs()
    job.durationMs = this.#endedAt - job.startedMonotonicMs
    this.#running[job.slot] = undefined
    this.#runningCount -= 1
    if (outcome.kind !== 'completed') this.#ended.hasFailures = true
    else {
      this.#table.durationMs[job.slot] = job.durationMs
      Atomics.store(this.#table.cells, job.slot, cell(job.ticket, phases.done))
    }
    this.#ended.add(job)
    this.#askForTurn()
  }

  #askForTurn(): void {
    if (this.#turnAsked) return
    this.#turnAsked = true
    setImmediate(() => {
      // It may have been asked for by a job.
      this.#isEntered = true
      this.#leave()
      this.#turnAsked = false
      this.#turnStartedAt = monotonicMs()
      this.#report()
      this.#fill()
    })
  }

  /** Sends what has ended; also when nothing has, after jobs that were not begun, to say that it gets on again. */
  #report(): void {
    const { skipped, late } = this.#mailbox
    if (this.#ended.isEmpty && !skipped) return
    this.#mailbox.skipped = false
    this.#mailbox.late = false
    const batch = this.#ended.take()
    this.#task.port.postMessage(late ? { ...batch, late } : batch)
  }
}
