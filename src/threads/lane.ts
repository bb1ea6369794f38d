import { type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads'
import type { AbortCode, PoolName } from '../core/handler-definition.ts'
import { completed, type Outcome } from '../core/outcome.ts'
import { shortenWhereabouts, type Whereabouts } from '../core/whereabouts.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import type { Lane, StartedJob, ThreadEnd } from '../engine/lanes-port.ts'
import { examineThread, type Finding } from './examination.ts'
import { encodeJobs } from './job-batch.ts'
import {
  cell,
  createTable,
  type FromThread,
  type LaneTable,
  type ProgressMessage,
  phaseOf,
  phases,
  type ResultBatch,
  type ReturnedMessage,
  ticketLimit,
  ticketOf,
} from './lane-protocol.ts'
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

interface Culprit {
  readonly job: InFlightJob
  readonly outcome: Outcome
  readonly durationMs: number
}

/** The supervisor's end of one thread: its port, its table and the jobs in its slots. */
export class ThreadLaneHandle implements Lane {
  readonly pool: PoolName
  readonly concurrency: number
  readonly table: LaneTable
  threadId = 0
  worker: Worker | undefined
  open = false
  outstanding = 0
  backlogMs = 0
  lastProgressAt = 0
  stalled = false
  /** Is replaced when it has no job. */
  retiring = false
  endReason: ThreadEnd | undefined
  /** Its thread makes a span of every attempt whose end it reports. */
  traces = false
  readonly #port: MessagePort
  readonly #owner: LaneOwner
  readonly #ackWaitMs: number
  readonly #slots: (InFlightJob | undefined)[]
  readonly #freeSlots: number[]
  readonly #culprits: Culprit[] = []
  #unsent: InFlightJob[] = []
  #ticket = 0
  #gone = false
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
    const { slots } = about
    this.pool = about.pool
    this.concurrency = about.concurrency
    this.table = createTable(slots)
    this.#ackWaitMs = about.ackWaitMs
    this.#port = port
    this.#owner = owner
    this.#slots = new Array<InFlightJob | undefined>(slots).fill(undefined)
    this.#freeSlots = Array.from({ length: slots }, (_, index) => slots - 1 - index)
    port.on('message', (message: FromThread) => this.#receive(message))
  }

  get freeSlots(): number {
    return this.#freeSlots.length
  }

  put(job: InFlightJob): void {
    this.#occupy(job)
    this.#unsent.push(job)
  }

  send(): void {
    const jobs = this.#unsent
    this.#unsent = []
    const batch = encodeJobs(jobs)
    this.#port.postMessage(batch, [batch.buffer])
  }

  #occupy(job: InFlightJob): void {
    const slot = this.#freeSlots.pop()!
    this.#ticket = (this.#ticket + 1) % ticketLimit
    job.lane = this
    job.slot = slot
    job.ticket = this.#ticket
    job.handler.posted += 1
    this.#slots[slot] = job
    if (this.outstanding === 0) this.lastProgressAt = monotonicMs()
    this.outstanding += 1
    this.backlogMs += job.estimateMs
    this.renewed(job)
    Atomics.store(this.table.cells, slot, cell(this.#ticket, phases.posted))
  }

  renewed(job: InFlightJob): void {
    this.table.leaseUntil[job.slot] = job.renewedAt + this.#ackWaitMs
  }

  #vacate(job: InFlightJob): void {
    this.#slots[job.slot] = undefined
    this.#freeSlots.push(job.slot)
    this.outstanding -= 1
    this.backlogMs = this.outstanding === 0 ? 0 : this.backlogMs - job.estimateMs
    job.handler.posted -= 1
    job.lane = undefined
    job.slot = -1
  }

  takeBack(job: InFlightJob): boolean {
    if (job.lane !== this) return false
    const posted = cell(job.ticket, phases.posted)
    const taken = cell(job.ticket, phases.taken)
    const found = Atomics.compareExchange(this.table.cells, job.slot, posted, taken)
    if (found !== posted && found !== cell(job.ticket, phases.late)) return false
    this.#vacate(job)
    return true
  }

  abort(job: InFlightJob, code: AbortCode): void {
    this.#port.postMessage({ kind: 'abort', slot: job.slot, ticket: job.ticket, code })
  }

  startedAt(job: InFlightJob): number | undefined {
    if (job.lane !== this) return undefined
    const phase = phaseOf(Atomics.load(this.table.cells, job.slot))
    // What is done waits only to be reported, perhaps behind a job that blocks the thread.
    const running = phase === phases.started || phase === phases.signalled || phase === phases.culprit
    return running ? this.table.startedAt[job.slot] : undefined
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
    const isReached = Atomics.load(this.table.cells, slot) === cell(ticket, phases.signalled)
    return shortenWhereabouts(isReached ? { kind: 'waiting', resources } : { kind: 'behind', stack })
  }

  kill(reason: ThreadEnd): void {
    this.#owner.kill(this, reason)
  }

  jobs(): InFlightJob[] {
    return this.#slots.filter((job) => job !== undefined)
  }

  collect(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port)
      if (!received) return
      this.#receive(received.message as FromThread)
    }
  }

  endDone(before: number): boolean {
    const done = this.jobs().filter((job) => this.#isDone(job))
    // What a job of these returned is among the messages by now.
    this.collect()
    const unreported = done.filter((job) => job.lane === this)
    const { startedAt, durationMs } = this.table
    const old = unreported.filter(({ slot }) => startedAt[slot]! + durationMs[slot]! <= before)
    for (const job of old) this.#endDone(job)
    if (old.length > 0) this.#owner.resultsHandled()
    return old.length < unreported.length
  }

  #isDone(job: InFlightJob): boolean {
    return Atomics.load(this.table.cells, job.slot) === cell(job.ticket, phases.done)
  }

  #endDone(job: InFlightJob): void {
    // A thread that is blocked makes the span when it gets on, and one that ends never does.
    job.spanMade = this.traces && !this.#gone && !this.endReason
    this.#end(job, completed, this.table.startedAt[job.slot]!, this.table.durationMs[job.slot]!)
  }

  /** True when a job of this lane is known to have ended the thread. */
  get culpritKnown(): boolean {
    return this.#culprits.length > 0
  }

  /** What is left when the thread is gone: jobs marked done count as completed, the rest is handed over. */
  close(): { started: StartedJob[]; unstarted: InFlightJob[] } {
    this.open = false
    this.#gone = true
    this.collect()
    this.#port.close()
    for (const { job, outcome, durationMs } of this.#culprits) {
      this.#end(job, outcome, this.table.startedAt[job.slot]!, durationMs)
    }
    const current = Atomics.load(this.table.current, 0)
    const started: StartedJob[] = []
    const unstarted: InFlightJob[] = []
    for (const job of this.jobs()) {
      if (this.#isDone(job)) {
        this.#endDone(job)
        continue
      }
      const phase = phaseOf(Atomics.load(this.table.cells, job.slot))
      if (phase === phases.posted || phase === phases.late) unstarted.push(job)
      else {
        started.push({
          job,
          startedAt: this.table.startedAt[job.slot]!,
          signalled: phase === phases.signalled,
          inside: current === job.slot + 1,
        })
      }
      this.#vacate(job)
    }
    return { started, unstarted }
  }

  #receive(message: FromThread): void {
    if (message.kind === 'results') this.#results(message)
    else if (message.kind === 'ready') this.#owner.ready(this, message)
    else if (message.kind === 'leak') this.#owner.leaked(this, message)
    else if (message.kind === 'returned') this.#returned(message)
    else this.#owner.progressed(message)
  }

  #returned({ slot, ticket, value }: ReturnedMessage): void {
    const job = this.#jobOf(slot, ticket)
    if (job) job.returned = value
  }

  #results(batch: ResultBatch): void {
    this.lastProgressAt = monotonicMs()
    this.stalled = false
    const { completed: finished, others, spans = [] } = batch
    for (const { slot, ticket, place } of spans) {
      const job = this.#jobOf(slot, ticket)
      if (job) job.attemptSpan = place
    }
    for (let at = 0; at < finished.length; at += 3) {
      const job = this.#jobOf(finished[at]!, finished[at + 1]!)
      if (!job) continue
      job.spanMade = this.traces
      this.#end(job, completed, this.table.startedAt[job.slot]!, finished[at + 2]!)
    }
    for (const { slot, ticket, durationMs, outcome } of others) {
      const job = this.#jobOf(slot, ticket)
      if (!job) continue
      if (outcome.kind === 'crashed') this.#condemn({ job, outcome, durationMs })
      else {
        job.spanMade = this.traces
        this.#end(job, outcome, this.table.startedAt[slot]!, durationMs)
      }
    }
    if (batch.late) this.#giveUpLate()
    this.#owner.resultsHandled()
  }

  /** Some jobs were not begun, because their leases had run out. */
  #giveUpLate(): void {
    const { cells } = this.table
    const late = this.jobs().filter((job) => Atomics.load(cells, job.slot) === cell(job.ticket, phases.late))
    for (const job of late) this.#vacate(job)
    if (late.length > 0) this.#owner.late(this, late)
  }

  // The thread is about to end by its own doing. Its jobs are settled when it is really gone.
  #condemn(culprit: Culprit): void {
    this.open = false
    this.#culprits.push(culprit)
  }

  #jobOf(slot: number, ticket: number): InFlightJob | undefined {
    const job = this.#slots[slot]
    return job && job.ticket === ticket && ticketOf(Atomics.load(this.table.cells, slot)) === ticket
      ? job
      : undefined
  }

  #end(job: InFlightJob, outcome: Outcome, startedAt: number, durationMs: number): void {
    this.#vacate(job)
    this.#owner.ended(this, job, outcome, startedAt, durationMs)
  }
}
