import { type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads'
import type { AbortCode, PoolName } from '../core/handler-definition.ts'
import { completed, type Outcome } from '../core/outcome.ts'
import { shortenWhereabouts, type Whereabouts } from '../core/whereabouts.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import type { Lane, StartedJob, ThreadEnd } from '../engine/lanes-port.ts'
import { examineThread, type Finding } from './examination.ts'
import { encodeJobs } from './job-batch.ts'
import {
  type FromThread,
  type LaneTable,
  type ProgressMessage,
  phases,
  type ResultBatch,
  type ReturnedMessage,
} from './lane-protocol.ts'
import { LaneSlots } from './lane-slots.ts'
import { monotonicMs } from './monotonic.ts'

/** What a lane needs to know from its pool. */
export interface LaneOwner {
  ended(
    lane: ThreadLaneHandle,
    job: InFlightJob,
    outcome: Outcome,
    startedAt: number,
    durationMs: number,
  ): void
  late(lane: ThreadLaneHandle, jobs: readonly InFlightJob[]): void
  resultsHandled(): void
  ready(lane: ThreadLaneHandle, message: Extract<FromThread, { kind: 'ready' }>): void
  leaked(lane: ThreadLaneHandle, message: Extract<FromThread, { kind: 'leak' }>): void
  progressed(message: ProgressMessage): void
  kill(lane: ThreadLaneHandle, reason: ThreadEnd): void
}

/** How much longer than one that is blocked a thread may take to report, which perhaps gets no processor. */
const starvedMs = 9_000

interface Culprit {
  readonly job: InFlightJob
  readonly outcome: Outcome
  readonly durationMs: number
}

/** The supervisor's end of one thread: what is said over its port about the jobs in its slots. */
export class ThreadLaneHandle implements Lane {
  readonly pool: PoolName
  readonly concurrency: number
  threadId = 0
  worker: Worker | undefined
  open = false
  lastProgressAt = 0
  stalled = false
  /** Is replaced when it has no job. */
  retiring = false
  endReason: ThreadEnd | undefined
  /** Its thread makes a span of every attempt whose end it reports. */
  traces = false
  readonly #port: MessagePort
  readonly #owner: LaneOwner
  readonly #slots: LaneSlots
  readonly #culprits: Culprit[] = []
  #unsent: InFlightJob[] = []
  #gone = false
  #endedByLeftover = false
  /** Jobs that are asked for at the same time are looked at together. */
  #looking: Promise<Finding> | undefined

  constructor(
    about: {
      readonly pool: PoolName
      readonly slots: number
      readonly concurrency: number
      readonly ackWaitMs: number
    },
    port: MessagePort,
    owner: LaneOwner,
  ) {
    this.pool = about.pool
    this.concurrency = about.concurrency
    this.#slots = new LaneSlots(about.slots, about.ackWaitMs)
    this.#port = port
    this.#owner = owner
    port.on('message', (message: FromThread) => this.#receive(message))
  }

  get table(): LaneTable {
    return this.#slots.table
  }

  get freeSlots(): number {
    return this.#slots.free
  }

  get outstanding(): number {
    return this.#slots.outstanding
  }

  get backlogMs(): number {
    return this.#slots.backlogMs
  }

  put(job: InFlightJob): void {
    if (this.outstanding === 0) this.lastProgressAt = monotonicMs()
    job.lane = this
    this.#slots.occupy(job)
    this.#unsent.push(job)
  }

  send(): void {
    const jobs = this.#unsent
    this.#unsent = []
    const batch = encodeJobs(jobs)
    this.#port.postMessage(batch, [batch instanceof ArrayBuffer ? batch : batch.buffer])
  }

  renewed(job: InFlightJob): void {
    this.#slots.renewed(job)
  }

  takeBack(job: InFlightJob): boolean {
    return job.lane === this && this.#slots.takeBack(job)
  }

  abort(job: InFlightJob, code: AbortCode): void {
    this.#port.postMessage({ kind: 'abort', slot: job.slot, ticket: job.ticket, code })
  }

  startedAt(job: InFlightJob): number | undefined {
    if (job.lane !== this) return undefined
    const phase = this.#slots.phaseOf(job)
    // What is done waits only to be reported, perhaps behind a job that blocks the thread.
    const running = phase === phases.started || phase === phases.signalled || phase === phases.culprit
    return running ? this.#slots.startedAt(job) : undefined
  }

  async examine(job: InFlightJob, limitMs: number): Promise<Whereabouts> {
    const { slot, ticket } = job
    this.#looking ??= examineThread(this.threadId, limitMs)
    const finding = await this.#looking
    this.#looking = undefined
    if (finding.kind !== 'found') return { kind: finding.kind }
    const { stack, resources } = finding
    if (stack.length === 0) return shortenWhereabouts({ kind: 'waiting', resources })
    // Code in nobody's name is the job's own when it is alone on the thread.
    const isItsOwn =
      finding.ticket === null ? this.concurrency === 1 : finding.ticket === ticket && finding.slot === slot
    if (isItsOwn) return shortenWhereabouts({ kind: 'running', stack })
    // Its signal has reached it, so the thread does come to it.
    const isReached = job.slot === slot && this.#slots.isIn(job, phases.signalled)
    return shortenWhereabouts(isReached ? { kind: 'waiting', resources } : { kind: 'behind', stack })
  }

  kill(reason: ThreadEnd): void {
    this.#owner.kill(this, reason)
  }

  jobs(): InFlightJob[] {
    return this.#slots.jobs()
  }

  collect(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port)
      if (!received) return
      this.#receive(received.message as FromThread)
    }
  }

  endDone(before: number): boolean {
    const slots = this.#slots
    const done = this.jobs().filter((job) => slots.isIn(job, phases.done))
    // What a job of these returned is among the messages by now.
    this.collect()
    const unreported = done.filter((job) => job.lane === this)
    const endedBefore = this.#isBlocked ? before : before - starvedMs
    const old = unreported.filter((job) => slots.startedAt(job) + slots.durationMs(job) <= endedBefore)
    for (const job of old) if (slots.takeDone(job)) this.#endDone(job)
    if (old.length > 0) this.#owner.resultsHandled()
    return old.length < unreported.length
  }

  /** A job may block it; otherwise it more likely waits for a processor, and will say how its jobs ended. */
  get #isBlocked(): boolean {
    if (this.concurrency > 1) return this.#slots.isAnyInside
    return this.jobs().some((job) => this.startedAt(job) !== undefined)
  }

  #endDone(job: InFlightJob): void {
    // A thread that is blocked makes the span when it gets on, and one that ends never does.
    job.spanMade = this.traces && !this.#gone && !this.endReason
    this.#end(job, completed, this.#slots.durationMs(job))
  }

  /** True when it is known who has ended the thread: a job of this lane, or one that was finished and is charged no more. */
  get culpritKnown(): boolean {
    return this.#culprits.length > 0 || this.#endedByLeftover
  }

  /** What is left when the thread is gone: jobs marked done count as completed, the rest is handed over. */
  close(): { started: StartedJob[]; unstarted: InFlightJob[] } {
    this.open = false
    this.#gone = true
    this.collect()
    this.#port.close()
    for (const { job, outcome, durationMs } of this.#culprits) this.#end(job, outcome, durationMs)
    const slots = this.#slots
    const started: StartedJob[] = []
    const unstarted: InFlightJob[] = []
    for (const job of this.jobs()) {
      const phase = slots.phaseOf(job)
      if (phase === phases.done) {
        this.#endDone(job)
        continue
      }
      if (phase === phases.posted || phase === phases.late) unstarted.push(job)
      else {
        started.push({
          job,
          startedAt: slots.startedAt(job),
          signalled: phase === phases.signalled,
          inside: slots.isInside(job),
        })
      }
      slots.vacate(job)
    }
    return { started, unstarted }
  }

  #receive(message: FromThread): void {
    if (message.kind === 'results') this.#results(message)
    else if (message.kind === 'ready') this.#owner.ready(this, message)
    else if (message.kind === 'leak') {
      this.#endedByLeftover ||= message.code === 'thread_exit'
      this.#owner.leaked(this, message)
    } else if (message.kind === 'returned') this.#returned(message)
    else this.#owner.progressed(message)
  }

  #returned({ slot, ticket, value }: ReturnedMessage): void {
    const job = this.#slots.find(slot, ticket)
    if (job) job.returned = value
  }

  #results(batch: ResultBatch): void {
    this.lastProgressAt = monotonicMs()
    this.stalled = false
    const { completed: finished, others, spans = [] } = batch
    for (const { slot, ticket, place } of spans) {
      const job = this.#slots.find(slot, ticket)
      if (job) job.attemptSpan = place
    }
    for (let at = 0; at < finished.length; at += 2) {
      const job = this.#slots.find(finished[at]!, finished[at + 1]!)
      if (!job) continue
      job.spanMade = this.traces
      this.#end(job, completed, this.#slots.durationMs(job))
    }
    for (const { slot, ticket, durationMs, outcome } of others) {
      const job = this.#slots.find(slot, ticket)
      if (!job) continue
      if (outcome.kind === 'crashed') this.#condemn({ job, outcome, durationMs })
      else {
        job.spanMade = this.traces
        this.#end(job, outcome, durationMs)
      }
    }
    if (batch.late) this.#giveUpLate()
    this.#owner.resultsHandled()
  }

  /** Some jobs were not begun, because their leases had run out. */
  #giveUpLate(): void {
    const late = this.jobs().filter((job) => this.#slots.isIn(job, phases.late))
    for (const job of late) this.#slots.vacate(job)
    if (late.length > 0) this.#owner.late(this, late)
  }

  // The thread is about to end by its own doing. Its jobs are settled when it is really gone.
  #condemn(culprit: Culprit): void {
    this.open = false
    this.#culprits.push(culprit)
  }

  #end(job: InFlightJob, outcome: Outcome, durationMs: number): void {
    const startedAt = this.#slots.startedAt(job)
    this.#slots.vacate(job)
    this.#owner.ended(this, job, outcome, startedAt, durationMs)
  }
}
