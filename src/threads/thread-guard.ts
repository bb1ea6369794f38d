import type { Outcome } from '../core/outcome.ts'
import type { EndedJobs } from './ended-jobs.ts'
import { describeThrown } from './error-transfer.ts'
import { cell, type LaneTable, type LaneTask, type LeakMessage, phases } from './lane-protocol.ts'
import { monotonicMs } from './monotonic.ts'
import type { ThreadJob } from './thread-job.ts'

interface GuardParts {
  readonly task: LaneTask
  readonly table: LaneTable
  readonly ended: EndedJobs
  /** The job in whose name the current code runs, if any. */
  currentJob(): ThreadJob | undefined
  /** Tells the supervisor of everything that has ended. */
  report(): void
}

/**
 * Names who is to blame for what no handler catches.
 *
 * 1. A rejection that nobody awaited: the job that made it has failed.
 * 2. An exception outside of every promise, and `process.exit()`: its job has ended the thread.
 * 3. Either of them in the name of a job that was reported already, or that the supervisor has ended, or of none: it
 *    is told of, and charges nobody.
 */
export class ThreadGuard {
  readonly #parts: GuardParts
  readonly #exit = process.exit.bind(process)

  constructor(parts: GuardParts) {
    this.#parts = parts
  }

  /** To be called before anything of a handler runs. */
  start(): void {
    process.on('uncaughtException', (thrown) => this.#uncaught(thrown))
    process.on('unhandledRejection', (thrown) => this.#unhandled(thrown))
    process.exit = ((code?: number) => {
      const job = this.#parts.currentJob()
      const message = `the handler called process.exit(${code ?? ''})`
      if (job && !this.#takesBack(job)) {
        this.#parts.report()
        this.#leak(job, 'thread_exit', message)
      } else this.#blame(job, { kind: 'crashed', error: { code: 'thread_exit', message } })
      return this.#exit(code)
    }) as typeof process.exit
  }

  /** A promise of a job was rejected and nothing awaited it: the job that made it has failed. */
  #unhandled(thrown: unknown): void {
    const job = this.#parts.currentJob()
    if (!job || !this.#takesBack(job)) {
      this.#leak(job, 'unhandled_rejection', describeThrown(thrown).message)
      return
    }
    const error = describeThrown(thrown, 'unhandled_rejection')
    if (!job.outcome) job.floating = error
    else if (job.outcome.kind === 'completed') {
      job.outcome = { kind: 'failed', error }
      this.#parts.ended.hasFailures = true
    }
  }

  /** A callback threw outside every promise. Its job has failed, and the thread's state is unknown. */
  #uncaught(thrown: unknown): void {
    const job = this.#parts.currentJob()
    if (!job || !this.#takesBack(job)) {
      this.#leak(job, 'uncaught_exception', describeThrown(thrown).message)
      return
    }
    this.#blame(job, { kind: 'crashed', error: describeThrown(thrown, 'uncaught_exception') })
    this.#exit(1)
  }

  /**
   * True when a job can still have another end than it had, as far as it had one: nobody was told of it. Takes its mark
   * back, unless that has counted already because another job has blocked this thread.
   */
  #takesBack({ reported, outcome, slot, ticket }: ThreadJob): boolean {
    if (reported || outcome?.kind !== 'completed') return !reported
    const done = cell(ticket, phases.done)
    const started = cell(ticket, phases.started)
    const found = Atomics.compareExchange(this.#parts.table.cells, slot, done, started)
    return found === done || found === started
  }

  /** Reports everything that has ended, then who ends this thread and how. */
  #blame(job: ThreadJob | undefined, outcome: Outcome): void {
    const { table, ended, report } = this.#parts
    if (job && this.#takesBack(job)) {
      Atomics.store(table.cells, job.slot, cell(job.ticket, phases.culprit))
      ended.remove(job)
      job.outcome = outcome
      job.durationMs = monotonicMs() - job.startedMonotonicMs
      ended.add(job)
    }
    report()
  }

  #leak(job: ThreadJob | undefined, code: LeakMessage['code'], message: string): void {
    this.#parts.task.port.postMessage({
      kind: 'leak',
      handler: job?.handler.name,
      jobId: job?.id,
      attempt: job?.attempt,
      code,
      message,
    })
  }
}
