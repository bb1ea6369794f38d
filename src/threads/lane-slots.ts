import type { InFlightJob } from '../engine/in-flight-job.ts'
import {
  cell,
  createTable,
  type LaneTable,
  type Phase,
  phaseOf,
  phases,
  ticketLimit,
  ticketOf,
} from './lane-protocol.ts'

/** Which job is in which slot of a lane, and what the shared table says of it: the supervisor's half of the table. */
export class LaneSlots {
  readonly table: LaneTable
  /** Jobs in slots. */
  outstanding = 0
  /** Their measured run times, added up. */
  backlogMs = 0
  readonly #ackWaitMs: number
  readonly #jobs: (InFlightJob | undefined)[]
  readonly #free: number[]
  #ticket = 0

  constructor(count: number, ackWaitMs: number) {
    this.table = createTable(count)
    this.#ackWaitMs = ackWaitMs
    this.#jobs = new Array<InFlightJob | undefined>(count).fill(undefined)
    this.#free = Array.from({ length: count }, (_, index) => count - 1 - index)
  }

  /** How many have no job. */
  get free(): number {
    return this.#free.length
  }

  jobs(): InFlightJob[] {
    return this.#jobs.filter((job) => job !== undefined)
  }

  /** The job that a message of the thread is about, if it is still here. */
  find(slot: number, ticket: number): InFlightJob | undefined {
    const job = this.#jobs[slot]
    return job && job.ticket === ticket && ticketOf(Atomics.load(this.table.cells, slot)) === ticket
      ? job
      : undefined
  }

  /** Marks it as posted. */
  occupy(job: InFlightJob): void {
    const slot = this.#free.pop()!
    this.#ticket = (this.#ticket + 1) % ticketLimit
    job.slot = slot
    job.ticket = this.#ticket
    job.handler.posted += 1
    this.#jobs[slot] = job
    this.outstanding += 1
    this.backlogMs += job.estimateMs
    this.renewed(job)
    Atomics.store(this.table.cells, slot, cell(this.#ticket, phases.posted))
  }

  vacate(job: InFlightJob): void {
    this.#jobs[job.slot] = undefined
    this.#free.push(job.slot)
    this.outstanding -= 1
    this.backlogMs = this.outstanding === 0 ? 0 : this.backlogMs - job.estimateMs
    job.handler.posted -= 1
    job.lane = undefined
    job.slot = -1
  }

  /** The thread learns how long its lease lasts. */
  renewed(job: InFlightJob): void {
    this.table.leaseUntil[job.slot] = job.renewedAt + this.#ackWaitMs
  }

  /** True when the thread had not begun it, and now never will. */
  takeBack(job: InFlightJob): boolean {
    const posted = cell(job.ticket, phases.posted)
    const taken = cell(job.ticket, phases.taken)
    const found = Atomics.compareExchange(this.table.cells, job.slot, posted, taken)
    if (found !== posted && found !== cell(job.ticket, phases.late)) return false
    this.vacate(job)
    return true
  }

  /** True when it is done, and now stays so: the thread cannot make a failure of it any more. */
  takeDone(job: InFlightJob): boolean {
    const done = cell(job.ticket, phases.done)
    return Atomics.compareExchange(this.table.cells, job.slot, done, cell(job.ticket, phases.taken)) === done
  }

  phaseOf(job: InFlightJob): Phase {
    return phaseOf(Atomics.load(this.table.cells, job.slot))
  }

  /** It is in this phase, and the slot has had no other job since. */
  isIn(job: InFlightJob, phase: Phase): boolean {
    return Atomics.load(this.table.cells, job.slot) === cell(job.ticket, phase)
  }

  /** When the thread began it, on the monotonic clock. */
  startedAt(job: InFlightJob): number {
    return this.table.startedAt[job.slot]!
  }

  /** How long it ran, if it is done. */
  durationMs(job: InFlightJob): number {
    return this.table.durationMs[job.slot]!
  }

  /** The thread is inside the first synchronous code of some job, or in a listener of its signal. */
  get isAnyInside(): boolean {
    return Atomics.load(this.table.current, 0) !== 0
  }

  /** The thread is inside its first synchronous code, or in a listener of its signal. */
  isInside(job: InFlightJob): boolean {
    return Atomics.load(this.table.current, 0) === job.slot + 1
  }
}
