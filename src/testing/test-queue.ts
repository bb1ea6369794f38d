import { Client } from '../client/client.ts'
import type { EnqueuedJob } from '../client/enqueued-job.ts'
import type { AnyHandlers, EnqueueArguments, HandlerName, PayloadOf } from '../client/handler-types.ts'
import { readSettings, type SettingsOptions } from '../config/settings.ts'
import { type Names, namesFor } from '../core/names.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import type { ContextSink } from './captured-context.ts'
import { readHandler, schedulesOf } from './given-handler.ts'
import { ManualClock } from './manual-clock.ts'
import { MemoryClientBroker } from './memory-client-broker.ts'
import { MemoryJobStore } from './memory-job-store.ts'
import { MemorySharedState } from './memory-shared-state.ts'
import { MemoryTickStore } from './memory-tick-store.ts'
import { TestObserver } from './test-observer.ts'
import {
  type CompletedTestJob,
  type EnqueuedTestJob,
  enqueuedJobOf,
  type TestAttempt,
  type TestDeadLetter,
  type TestLogLine,
  testDeadLetterOf,
} from './test-records.ts'
import { TestSupervisor } from './test-supervisor.ts'

/** What a queue in a test knows and how patient it is. Every field is optional. */
export interface TestQueueOptions<Handlers extends object = AnyHandlers> {
  /** Handlers by name, as their files export them. Jobs of others are kept and never run. */
  handlers?: Handlers | undefined
  /** As in the environment: `maxAttempts`, `deadlineMs`, `backoffBaseMs` and so on. `threads` is 1 unless it is here. */
  settings?: SettingsOptions | undefined
  /** The date at the start. @default the real one */
  now?: Date | undefined
  /** Draws the delays of retries. @default () => 1, so that each is as long as its backoff allows */
  random?: (() => number) | undefined
  /**
   * How long a handler that runs is waited for, in real time, before the queue's clock moves on without it. A test of
   * a handler that hangs takes twice as long. @default 1000
   */
  patienceMs?: number | undefined
  /** Whether the schedules of the handlers publish jobs while time passes. @default false */
  schedules?: boolean | undefined
}

/** How far `drain` goes. */
export interface DrainOptions {
  /** Of the queue's time. @default 366 days */
  limitMs?: number | undefined
  /** @default 10000 */
  attempts?: number | undefined
}

const yearMs = 366 * 86_400_000

/** Nothing loses a lease here, and every renewal is a stop on the clock's way through days and weeks. */
const calmSettings = { threads: 1, ackWaitMs: 3_600_000 }

/**
 * Jobs in memory: a client that enqueues them, the real engine that runs them in this thread, and a clock that moves
 * only when it is told to. Nothing has to be closed.
 *
 * Enqueuing stores a job and runs nothing. `drain` and `advance` run what is due, with attempts, backoff, deadlines,
 * keys, limits, pauses and dead letters as in production.
 */
export class TestQueue<Handlers extends object = AnyHandlers> {
  /** To be given to the code under test, in place of what `createClient` makes. */
  readonly client: Client<Handlers>
  readonly #clock: ManualClock
  readonly #store: MemoryJobStore
  readonly #observer: TestObserver
  readonly #supervisor: TestSupervisor
  readonly #names: Names
  readonly #logs: TestLogLine[] = []

  constructor(options: TestQueueOptions<Handlers> = {}) {
    const { settings } = readSettings({ environment: {}, options: { ...calmSettings, ...options.settings } })
    const names = namesFor(settings.namespace)
    const clock = new ManualClock((options.now ?? new Date()).getTime())
    const store = new MemoryJobStore(clock, names, settings)
    const shared = new MemorySharedState(clock)
    const observer = new TestObserver(() => this.now)
    this.#clock = clock
    this.#names = names
    this.#store = store
    this.#observer = observer
    const clientBroker = new MemoryClientBroker({ store, shared, names })
    this.client = new Client<Handlers>({
      broker: clientBroker,
      names,
      name: 'test',
      requestMs: 5_000,
      now: () => clock.now(),
      close: async () => {},
    })
    const handlers = Object.entries(options.handlers ?? {}).map(([name, given]) => readHandler(name, given))
    const schedules = schedulesOf(handlers)
    const parts = {
      clock,
      store,
      shared,
      ticks: new MemoryTickStore(store),
      names,
      observer,
      settings,
      handlers,
      schedules: options.schedules ? schedules : [],
      random: options.random ?? (() => 1),
      sinkOf: (job: InFlightJob) => this.#sinkOf(job, clientBroker),
    }
    this.#supervisor = new TestSupervisor(parts, options.patienceMs ?? 1_000)
  }

  /** The date by the queue's clock. */
  get now(): Date {
    return new Date(this.#clock.now())
  }

  /** Stores a job, as `client.enqueue` does; `delayMs` counts by the queue's clock. */
  enqueue<Name extends HandlerName<Handlers>>(
    handler: Name,
    ...rest: EnqueueArguments<PayloadOf<Handlers, Name>>
  ): Promise<EnqueuedJob> {
    return this.client.enqueue(handler, ...rest)
  }

  /** Lets time pass, and runs what becomes due meanwhile. `advance(0)` runs what is due now. */
  async advance(durationMs: number): Promise<void> {
    if (!(Number.isFinite(durationMs) && durationMs >= 0)) {
      throw new RangeError(`advance takes a number of milliseconds of at least 0, got ${durationMs}`)
    }
    await this.#supervisor.pass(durationMs)
  }

  /**
   * Runs everything until no job is left that could run, moving the clock over delays and backoffs. Jobs of handlers
   * that are not here, or paused, stay.
   *
   * @throws {MillraceError} `drain_unfinished` when that has no end.
   */
  async drain({ limitMs = yearMs, attempts = 10_000 }: DrainOptions = {}): Promise<void> {
    await this.#supervisor.drain(limitMs, attempts)
  }

  /**
   * The supervisor's process dies with what it runs, and another takes its place. A job that ran comes again when its
   * lease has run out, by the queue's clock; the attempt counts, and no handler sees its end. `drain` waits for that.
   *
   * A handler that awaits it goes no further: so a test can put the crash between any two of its steps.
   */
  crash(): Promise<void> {
    return this.#supervisor.crash()
  }

  /** Every job that was stored, also by handlers and schedules, in order; with a name, those of one handler. */
  enqueued(handler?: HandlerName<Handlers>): EnqueuedTestJob[] {
    const jobs = this.#store.published.map((job) => enqueuedJobOf(job, this.#names.streamOf(job.priority)))
    return ofHandler(jobs, handler)
  }

  /** Every attempt that has ended, in order. */
  attempts(handler?: HandlerName<Handlers>): TestAttempt[] {
    return ofHandler(this.#observer.attempts, handler)
  }

  /** Every job that completed, in order. */
  completed(handler?: HandlerName<Handlers>): CompletedTestJob[] {
    return ofHandler(this.#observer.completed, handler)
  }

  /** Every job that was given up on, in order. */
  deadLetters(handler?: HandlerName<Handlers>): TestDeadLetter[] {
    return ofHandler(this.#store.letters.map(testDeadLetterOf), handler)
  }

  /** Jobs that have neither completed nor become dead letters: delayed, between attempts, paused, or of nobody here. */
  waiting(handler?: HandlerName<Handlers>): EnqueuedTestJob[] {
    const over = new Set([...this.completed(), ...this.deadLetters()].map(({ id }) => id))
    return this.enqueued(handler).filter(({ id }) => !over.has(id))
  }

  /** Every line that handlers logged, in order. */
  logs(handler?: HandlerName<Handlers>): TestLogLine[] {
    return ofHandler(this.#logs, handler)
  }

  #sinkOf(job: InFlightJob, broker: MemoryClientBroker): ContextSink {
    const { name: handler } = job.handler.profile
    const { jobId, attempt } = job
    return {
      logged: (line) => this.#logs.push({ ...line, jobId, handler, attempt }),
      progressed: (value) =>
        broker.tell(
          this.#names.eventSubject(handler, 'progress'),
          JSON.stringify({ job_id: jobId, handler, attempt, value }),
        ),
    }
  }
}

/** Makes jobs in memory, with a clock that a test moves. */
export function createTestQueue<Handlers extends object = AnyHandlers>(
  options: TestQueueOptions<Handlers> = {},
): TestQueue<Handlers> {
  return new TestQueue(options)
}

function ofHandler<Row extends { readonly handler: string }>(
  rows: readonly Row[],
  handler: string | undefined,
): Row[] {
  return rows.filter((row) => handler === undefined || row.handler === handler)
}
