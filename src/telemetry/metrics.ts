import { Counter, Gauge, Registry } from 'prom-client'
import { type AttemptOutcome, attemptOutcomes } from '../core/outcome.ts'
import { type DeadReason, deadReasons, type Verdict, verdictKinds } from '../core/verdict.ts'
import type { QueueDepth } from '../nats/queue-depth.ts'
import { registerTallies, SecondsTally } from './tally.ts'

/** Every metric, its type, labels and meaning; `docs/metrics.md` is compared with it by a test. */
export const metricTable = {
  millrace_attempts_total: ['counter', ['handler', 'outcome'], 'Attempts that ended, by how'],
  millrace_jobs_settled_total: ['counter', ['handler', 'verdict'], 'Deliveries settled, by verdict'],
  millrace_job_duration_seconds: ['histogram', ['handler'], 'Run time of attempts'],
  millrace_job_wait_seconds: ['histogram', ['handler'], 'From the enqueue to the start of the attempt'],
  millrace_jobs_in_flight: ['gauge', ['handler'], 'Deliveries held by this supervisor, running or waiting'],
  millrace_handler_paused: ['gauge', ['handler'], '1 while an operator has paused the handler'],
  millrace_jobs_parked: ['gauge', ['handler'], 'Of those, how many wait for their turn and take up no room'],
  millrace_handler_owner: [
    'gauge',
    ['handler'],
    '1 when this supervisor takes the jobs of a handler with keys, 0 when another one does',
  ],
  millrace_queue_pending: ['gauge', ['handler'], 'Jobs that wait in the stream'],
  millrace_queue_ack_pending: ['gauge', ['handler'], 'Jobs handed out or waiting for another attempt'],
  millrace_queue_redelivered: ['gauge', ['handler'], 'Jobs delivered more than once and not settled'],
  millrace_queue_oldest_age_seconds: ['gauge', ['handler'], 'Age of the oldest job that is not settled'],
  millrace_unclaimed_jobs: ['gauge', [], 'Jobs on subjects that no consumer takes'],
  millrace_stranded_jobs: [
    'gauge',
    [],
    'Jobs that a consumer matches, but neither waits for nor has handed out',
  ],
  millrace_delayed_jobs: ['gauge', [], 'Jobs that wait in the delayed stream for their time'],
  millrace_dead_letters_total: ['counter', ['handler', 'reason'], 'Dead letters stored by this supervisor'],
  millrace_dead_letters: ['gauge', ['handler'], 'Dead letters in the dead-letter stream'],
  millrace_threads: ['gauge', ['pool', 'state'], 'Threads by state: starting, idle, busy, stuck'],
  millrace_thread_restarts_total: ['counter', ['pool', 'reason'], 'Threads that ended and were replaced'],
  millrace_lease_lost_total: ['counter', ['handler'], 'Deliveries whose lease ran out while they were held'],
  millrace_duplicates_suppressed_total: [
    'counter',
    ['handler'],
    'Deliveries not run because the job was held or finished here, or another one stood for its replay',
  ],
  millrace_ack_retries_total: ['counter', ['handler'], 'Acks sent again after a lost connection'],
  millrace_ticks_total: [
    'counter',
    ['schedule', 'outcome'],
    'Ticks of schedules, by what became of them here',
  ],
  millrace_limit_waits_total: [
    'counter',
    ['handler'],
    'Jobs that could not start at once because of a limit',
  ],
  millrace_nats_connected: ['gauge', [], '1 while connected to NATS'],
  millrace_nats_reconnects_total: ['counter', [], 'Reconnections to NATS'],
  millrace_build_info: ['gauge', ['version', 'node'], 'Always 1'],
} as const satisfies Record<string, readonly ['counter' | 'gauge' | 'histogram', readonly string[], string]>

type MetricName = keyof typeof metricTable

/** What became of a tick: the `outcome` of `millrace_ticks_total`. */
export const tickOutcomes = ['published', 'duplicate', 'skipped', 'missed'] as const
export type TickOutcome = (typeof tickOutcomes)[number]

/** What one handler has counted; plain numbers, because they are added to for every job. */
class HandlerCounts {
  readonly outcomes = new Map<AttemptOutcome, number>(attemptOutcomes.map((outcome) => [outcome, 0]))
  readonly verdicts = new Map<Verdict['kind'], number>(verdictKinds.map((kind) => [kind, 0]))
  readonly duration = new SecondsTally()
  readonly wait = new SecondsTally()
  completed = 0
  acked = 0
}

/** What is read from elsewhere when somebody scrapes. */
export interface MetricSources {
  inFlight(): Iterable<readonly [handler: string, count: number]>
  paused(): Iterable<readonly [handler: string, paused: boolean]>
  parked(): Iterable<readonly [handler: string, count: number]>
  owners(): Iterable<readonly [handler: string, owned: number]>
  threads(): Iterable<readonly [pool: string, states: Record<string, number>]>
  connected(): boolean
  reconnects(): number
}

/** The numbers of a supervisor, for Prometheus. */
export class Metrics {
  readonly registry = new Registry()
  depth: QueueDepth | undefined
  sources: MetricSources | undefined
  readonly #counts = new Map<string, HandlerCounts>()
  readonly #deadLetters: Counter
  readonly #restarts: Counter
  readonly #leaseLost: Counter
  readonly #suppressed: Counter
  readonly #ackRetries: Counter
  readonly #ticks: Counter
  readonly #limitWaits: Counter

  constructor(version: string) {
    this.#deadLetters = this.#counter('millrace_dead_letters_total')
    this.#restarts = this.#counter('millrace_thread_restarts_total')
    this.#leaseLost = this.#counter('millrace_lease_lost_total')
    this.#suppressed = this.#counter('millrace_duplicates_suppressed_total')
    this.#ackRetries = this.#counter('millrace_ack_retries_total')
    this.#ticks = this.#counter('millrace_ticks_total')
    this.#limitWaits = this.#counter('millrace_limit_waits_total')
    this.#counter('millrace_attempts_total', (counter) => {
      for (const [handler, counts] of this.#counts) {
        counter.inc({ handler, outcome: 'completed' }, counts.completed)
        for (const [outcome, count] of counts.outcomes) counter.inc({ handler, outcome }, count)
      }
    })
    this.#counter('millrace_jobs_settled_total', (counter) => {
      for (const [handler, counts] of this.#counts) {
        counter.inc({ handler, verdict: 'ack' }, counts.acked)
        for (const [verdict, count] of counts.verdicts) counter.inc({ handler, verdict }, count)
      }
    })
    this.#counter('millrace_nats_reconnects_total', (counter) => counter.inc(this.sources?.reconnects() ?? 0))
    for (const name of ['millrace_job_duration_seconds', 'millrace_job_wait_seconds'] as const) {
      const field = name === 'millrace_job_duration_seconds' ? 'duration' : 'wait'
      registerTallies(this.registry, name, metricTable[name][2], () =>
        [...this.#counts].map(([handler, counts]) => [handler, counts[field]]),
      )
    }
    this.#gauges(version)
  }

  /** The counts of a handler, made when first asked for. */
  of(handler: string): HandlerCounts {
    let counts = this.#counts.get(handler)
    if (!counts) {
      counts = new HandlerCounts()
      this.#counts.set(handler, counts)
      this.#startAtZero(handler)
    }
    return counts
  }

  // A counter that is first seen above 0 hides its first event from `increase()`.
  #startAtZero(handler: string): void {
    for (const reason of deadReasons) this.#deadLetters.inc({ handler, reason }, 0)
    for (const counter of [this.#leaseLost, this.#suppressed, this.#ackRetries]) counter.inc({ handler }, 0)
  }

  /** `waitMs` below 0 is not known. */
  ended(handler: string, outcome: AttemptOutcome, durationMs: number, waitMs: number): void {
    const counts = this.of(handler)
    if (outcome === 'completed') counts.completed += 1
    else counts.outcomes.set(outcome, (counts.outcomes.get(outcome) ?? 0) + 1)
    counts.duration.observeMs(durationMs)
    if (waitMs >= 0) counts.wait.observeMs(waitMs)
  }

  settled(handler: string, verdict: Verdict['kind']): void {
    const counts = this.of(handler)
    if (verdict === 'ack') counts.acked += 1
    else counts.verdicts.set(verdict, (counts.verdicts.get(verdict) ?? 0) + 1)
  }

  deadLettered(handler: string, reason: DeadReason): void {
    this.#deadLetters.inc({ handler, reason })
  }

  threadEnded(pool: string, reason: string): void {
    this.#restarts.inc({ pool, reason })
  }

  leaseLost(handler: string): void {
    this.#leaseLost.inc({ handler })
  }

  duplicateSuppressed(handler: string): void {
    this.#suppressed.inc({ handler })
  }

  acksRepeated(handler: string, count: number): void {
    this.#ackRetries.inc({ handler }, count)
  }

  ticks(schedule: string, outcome: TickOutcome, count: number): void {
    this.#ticks.inc({ schedule, outcome }, count)
  }

  limitWaits(handler: string, count: number): void {
    this.#limitWaits.inc({ handler }, count)
  }

  /** A counter; with `read`, its values are set anew at each scrape. */
  #counter(name: MetricName, read?: (counter: Counter) => void): Counter {
    const [, labelNames, help] = metricTable[name]
    const counter: Counter = new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      ...(read && {
        collect() {
          counter.reset()
          read(counter)
        },
      }),
    })
    return counter
  }

  #gauge(name: MetricName, read: (gauge: Gauge) => void): void {
    const [, labelNames, help] = metricTable[name]
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      collect() {
        gauge.reset()
        read(gauge)
      },
    })
  }

  #gauges(version: string): void {
    this.#gauge('millrace_jobs_in_flight', (gauge) => {
      for (const [handler, count] of this.sources?.inFlight() ?? []) gauge.set({ handler }, count)
    })
    this.#gauge('millrace_handler_paused', (gauge) => {
      for (const [handler, paused] of this.sources?.paused() ?? []) gauge.set({ handler }, paused ? 1 : 0)
    })
    this.#gauge('millrace_jobs_parked', (gauge) => {
      for (const [handler, count] of this.sources?.parked() ?? []) gauge.set({ handler }, count)
    })
    this.#gauge('millrace_handler_owner', (gauge) => {
      for (const [handler, owned] of this.sources?.owners() ?? []) gauge.set({ handler }, owned)
    })
    this.#gauge('millrace_threads', (gauge) => {
      for (const [pool, states] of this.sources?.threads() ?? []) {
        for (const [state, count] of Object.entries(states)) gauge.set({ pool, state }, count)
      }
    })
    const ofHandlers = (
      name: MetricName,
      field: 'pending' | 'ackPending' | 'redelivered' | 'oldestAgeSeconds',
    ): void =>
      this.#gauge(name, (gauge) => {
        for (const [handler, depth] of this.depth?.handlers ?? []) gauge.set({ handler }, depth[field])
      })
    ofHandlers('millrace_queue_pending', 'pending')
    ofHandlers('millrace_queue_ack_pending', 'ackPending')
    ofHandlers('millrace_queue_redelivered', 'redelivered')
    ofHandlers('millrace_queue_oldest_age_seconds', 'oldestAgeSeconds')
    this.#gauge('millrace_dead_letters', (gauge) => {
      for (const [handler, count] of this.depth?.deadLetters ?? []) gauge.set({ handler }, count)
    })
    this.#gauge('millrace_unclaimed_jobs', (gauge) => this.depth && gauge.set(this.depth.unclaimed))
    this.#gauge('millrace_stranded_jobs', (gauge) => this.depth && gauge.set(this.depth.stranded))
    this.#gauge('millrace_delayed_jobs', (gauge) => {
      if (this.depth?.delayed !== undefined) gauge.set(this.depth.delayed)
    })
    this.#gauge('millrace_nats_connected', (gauge) => gauge.set(this.sources?.connected() ? 1 : 0))
    this.#gauge('millrace_build_info', (gauge) => gauge.set({ version, node: process.version }, 1))
  }
}
