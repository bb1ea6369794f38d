import { completed, type Outcome } from '#src/core/outcome.js'
import type { Engine } from '#src/engine/engine.js'
import { MemoryBroker } from '#src/testing/memory-broker.js'
import { ModelClock } from './model-clock.ts'
import type { LinkWatcher, ModelLink } from './model-link.ts'
import { type Ending, handlerName, type ModelRun, ModelSupervisor, times } from './model-supervisor.ts'
import { type FaultKind, ProtocolLedger } from './protocol-ledger.ts'
import type { Wire } from './wires.ts'

/** What is explored. */
export interface ProtocolOptions {
  /** At most so many faults strike a run. */
  readonly faults: number
  readonly kinds: readonly FaultKind[]
  readonly jobs: number
  /** The first so many of the jobs end in any of these ways; the others complete. */
  readonly culprits: number
  readonly endings: readonly Ending[]
  /** Processes at a time; one that is gone is replaced at once. */
  readonly supervisors: number
  /** Attempts at a time of each process. */
  readonly concurrency: number
  readonly maxAttempts: number
  /** Breaks each engine before it starts, to see whether that is noticed. */
  readonly tamper?: (engine: Engine) => void
}

const duplicateWindowMs = 120_000

/**
 * A broker, processes and jobs, and what can be done to them. It decides nothing: which of it happens, and when, is
 * the run's to say.
 */
export class ModelWorld {
  readonly clock = new ModelClock()
  readonly brokerTime = this.clock.forProcess()
  readonly broker: MemoryBroker
  readonly ledger: ProtocolLedger
  /** Everything that happened, one line each. */
  readonly trace: string[] = []
  supervisors: ModelSupervisor[] = []
  /** A process or the broker can die right now with another effect than a step ago; of this supervisor. */
  crashPoint: ModelSupervisor | undefined
  snoozes = 0
  readonly #options: ProtocolOptions
  #names = 0
  #wires = 0

  constructor(options: ProtocolOptions) {
    this.#options = options
    this.broker = new MemoryBroker(this.brokerTime, { ackWaitMs: times.ackWaitMs, duplicateWindowMs })
    this.ledger = new ProtocolLedger({
      maxAttempts: options.maxAttempts,
      culprits: options.culprits,
      windowMs: duplicateWindowMs,
      now: () => this.clock.nowMs,
    })
  }

  /** Stores the jobs and starts the processes. */
  begin(): void {
    for (let count = 0; count < this.#options.jobs; count += 1) this.broker.enqueue(handlerName)
    for (let count = 0; count < this.#options.supervisors; count += 1) this.#startSupervisor()
  }

  deliver(supervisor: ModelSupervisor): void {
    const delivery = this.broker.next(handlerName)!
    this.ledger.delivered(delivery.sequence, supervisor.name, delivery.reply)
    supervisor.link.bring(delivery)
    this.crashPoint = supervisor
  }

  end(supervisor: ModelSupervisor, run: ModelRun, ending: Ending): void {
    const { job, lane } = run
    if (ending === 'hang') {
      run.hangs = true
      return
    }
    if (ending === 'snooze') this.snoozes += 1
    if (ending === 'process crash') {
      this.ledger.struck('crash', true)
      this.crash(supervisor)
      return
    }
    if (ending === 'thread crash') {
      this.endLane(supervisor, lane, ending, job.sequence)
      return
    }
    // What an attempt says after it was told to stop, except that it completed, is that it stopped.
    const isCut = job.abortCode === 'lease_lost' || job.abortCode === 'shutdown'
    const its = isCut && ending !== 'complete' ? 'interrupted' : ending
    this.ledger.ended(job.sequence, supervisor.name, its, job.leaseLost)
    supervisor.report(run, outcomeOf(ending))
    this.crashPoint = supervisor
  }

  endLane(supervisor: ModelSupervisor, lane: ModelRun['lane'], ending: Ending, culprit?: number): void {
    const onIt = supervisor.runs.filter((run) => run.lane === lane)
    const suspects = onIt.filter(({ job }) => job.suspect || job.recordUnread)
    for (const { job } of onIt) {
      // Of several that could have ended the thread nobody can tell which did, unless one alone was a suspect.
      const isKnown = onIt.length === 1 || (suspects.length === 1 && suspects[0]!.job === job)
      const its = culprit === undefined || (culprit === job.sequence && isKnown) ? ending : 'interrupted'
      const cutShort = ending === 'hang' && job.abortCode !== 'deadline'
      this.ledger.ended(job.sequence, supervisor.name, cutShort ? 'interrupted' : its, job.leaseLost)
    }
    const cause = ending === 'hang' ? undefined : { code: 'thread_crash', message: 'the thread died' }
    supervisor.endLane(lane, cause)
    this.crashPoint = supervisor
  }

  crash(supervisor: ModelSupervisor): void {
    const suspectRuns = supervisor.runs.some(({ job }) => job.suspect)
    for (const { job } of supervisor.runs) {
      this.ledger.ended(job.sequence, supervisor.name, 'process crash', job.leaseLost)
    }
    this.#loseWires(supervisor.link)
    for (const job of supervisor.engine.inFlight.all()) {
      const isProtected = suspectRuns && job.suspect && !supervisor.isRunning(job.sequence)
      this.ledger.died(job.sequence, supervisor.name, isProtected)
    }
    supervisor.end(this.clock)
    this.replace(supervisor)
  }

  replace(supervisor: ModelSupervisor): void {
    this.#loseWires(supervisor.link)
    supervisor.end(this.clock)
    this.supervisors = this.supervisors.filter((other) => other !== supervisor)
    this.#startSupervisor()
  }

  #startSupervisor(): void {
    this.#names += 1
    const name = `s${this.#names}`
    const watcher = this.#watcher(name)
    const supervisor = new ModelSupervisor(name, this.clock, this.broker, watcher, this.#options)
    this.supervisors.push(supervisor)
    this.#options.tamper?.(supervisor.engine)
    supervisor.start()
  }

  drop(supervisor: ModelSupervisor, until: number): void {
    const { link } = supervisor
    this.#loseWires(link)
    link.drop()
    link.heldUntil = until
  }

  restore(link: ModelLink): void {
    link.heldUntil = Number.NEGATIVE_INFINITY
    link.restore()
  }

  killBroker(): void {
    this.broker.kill()
    for (const supervisor of this.supervisors) this.drop(supervisor, this.clock.nowMs)
  }

  #loseWires(link: ModelLink): void {
    for (const wire of [...link.outgoing, ...link.incoming]) this.lost(wire)
  }

  lost({ kind, sequence, reply }: Wire): void {
    if (sequence === undefined) return
    if (kind === 'record' || kind === 'record answer') this.ledger.excused(sequence)
    if (kind === 'delivery') this.ledger.neverArrived(sequence, reply!)
  }

  /** Looks at what the last step has led to. */
  observe(): void {
    for (const supervisor of this.supervisors) {
      if (!supervisor.timers.frozen) {
        for (const { job } of supervisor.begin()) {
          const { sequence, attempt } = job
          const isElsewhere = this.supervisors.some(
            (other) => other !== supervisor && other.isRunning(sequence),
          )
          this.tell(`${supervisor.name}: attempt ${attempt} of job ${sequence} begins`)
          this.ledger.began(sequence, supervisor.name, attempt, isElsewhere)
          this.crashPoint = supervisor
        }
      }
      for (let sequence = 1; sequence <= this.#options.jobs; sequence += 1) {
        const onItsWay = supervisor.link.incoming.some(
          (wire) => wire.kind === 'delivery' && wire.sequence === sequence,
        )
        if (!onItsWay && !supervisor.held(sequence)) this.ledger.released(sequence, supervisor.name)
      }
    }
    for (let sequence = 1; sequence <= this.#options.jobs; sequence += 1) {
      const leaseUntil = this.broker.leaseUntil(sequence)
      if (leaseUntil !== undefined && leaseUntil <= this.clock.nowMs) this.ledger.expired(sequence)
    }
  }

  isOver(): boolean {
    if (this.broker.jobs > 0) return false
    for (const supervisor of this.supervisors) {
      const { link, timers, runs, endedLane, stopping } = supervisor
      if (timers.frozen || stopping || runs.length > 0 || endedLane) return false
      if (!link.connected || isHeld(link, this.clock.nowMs)) return false
      if (link.outgoing.length + link.incoming.length > 0) return false
      if (supervisor.leftovers().length > 0) return false
    }
    // After a fault a record may be left, and expires.
    return this.ledger.hasFaults || this.broker.attempts.keys.length === 0
  }

  tell(what: string): void {
    this.trace.push(`${String(this.clock.nowMs).padStart(6)}  ${what}`)
  }

  #watcher(name: string): LinkWatcher {
    return {
      nextId: () => {
        this.#wires += 1
        return this.#wires
      },
      answering: (sequence, reply, answer) =>
        this.ledger.answering(sequence, reply, answer, this.broker.leaseUntil(sequence)),
      answered: (sequence, reply, answer) => this.ledger.answered(sequence, reply, answer),
      recordStored: (sequence, record) => this.ledger.recordStored(sequence, record),
      recordUnread: (sequence) => this.ledger.unread(sequence, name),
      recordFailed: (sequence) => this.ledger.excused(sequence),
      letterStored: (letter, duplicate) => this.ledger.letterStored(letter, name, duplicate),
    }
  }
}

/** Whether nothing of a connection moves. */
export function isHeld(link: ModelLink, now: number): boolean {
  return !link.connected || link.heldUntil > now
}

function outcomeOf(ending: Ending): Outcome {
  if (ending === 'complete') return completed
  if (ending === 'snooze') return { kind: 'snoozed', delayMs: 500 }
  const error = { code: 'handler_error', message: 'it failed' }
  if (ending === 'permanent') return { kind: 'failed', error, steer: { kind: 'permanent' } }
  return { kind: 'failed', error }
}
