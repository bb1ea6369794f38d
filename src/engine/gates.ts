import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'

/** Something that an admitted job may have to wait for before it goes to a thread. */
export interface Gate {
  /**
   * It has arrived, and will enter once its record is read, or goes back; what comes after it may have to wait for it.
   */
  reserve?(job: InFlightJob): void
  /**
   * True when the job may go on at once. Else the gate keeps it, and calls `pass` when it may. A job that
   * has passed and whose run is not over passes again: it was interrupted without its fault.
   */
  enter(job: InFlightJob): boolean
  /** Its run began at `startedAt`, on the monotonic clock; told once for each start, and a moment later. */
  started?(job: InFlightJob, startedAt: number): void
  /** Its run is over, or will never begin. Also told of jobs that never came here, and more than once. */
  ended(job: InFlightJob): void
  /** It is not ours any more: settled, given back or lost. Also told of jobs that never came here. */
  settled(job: InFlightJob): void
  /** How many more jobs of a handler may wait here; without it, any number. */
  parkRoom?(handler: HandlerState): number
  /** Takes a job out that waits here. */
  remove(job: InFlightJob): void
  /** Takes out all that wait here, or those of one handler. */
  takeAll(handler?: HandlerState): InFlightJob[]
}

/**
 * The gates that jobs go through between their admission and the queue for a thread, in order. What waits at
 * a gate takes up no room, so that other jobs go on; it is counted as `parked` with its handler.
 */
export class Gates {
  readonly #gates: readonly Gate[]
  readonly #hooks: { parked(job: InFlightJob): void; through(job: InFlightJob): void }

  /**
   * @param hooks - `parked`: the job waits now. `through`: a job that had waited is past the last gate.
   */
  constructor(
    gates: readonly Gate[],
    hooks: { parked(job: InFlightJob): void; through(job: InFlightJob): void },
  ) {
    this.#gates = gates
    this.#hooks = hooks
  }

  reserve(job: InFlightJob): void {
    for (const gate of this.#gates) gate.reserve?.(job)
  }

  /** True when nothing holds the job up. */
  enter(job: InFlightJob): boolean {
    return this.#enterFrom(job, 0)
  }

  /** A gate lets a job go on that waited there. */
  pass(job: InFlightJob): void {
    const at = this.#gates.indexOf(job.waitsAt!)
    this.#unpark(job)
    if (this.#enterFrom(job, at + 1)) this.#hooks.through(job)
  }

  started(job: InFlightJob, startedAt: number): void {
    for (const gate of this.#gates) gate.started?.(job, startedAt)
  }

  ended(job: InFlightJob): void {
    for (const gate of this.#gates) gate.ended(job)
  }

  settled(job: InFlightJob): void {
    for (const gate of this.#gates) {
      gate.ended(job)
      gate.settled(job)
    }
  }

  /** So many jobs of a handler can arrive before a gate has more of them waiting than it wants. */
  parkRoom(handler: HandlerState): number {
    let room = Number.POSITIVE_INFINITY
    for (const gate of this.#gates) if (gate.parkRoom) room = Math.min(room, gate.parkRoom(handler))
    return room
  }

  /** True when the job waited at a gate; now it does not. */
  remove(job: InFlightJob): boolean {
    if (!job.waitsAt) return false
    job.waitsAt.remove(job)
    this.#unpark(job)
    return true
  }

  takeAll(handler?: HandlerState): InFlightJob[] {
    const taken = this.#gates.flatMap((gate) => gate.takeAll(handler))
    for (const job of taken) this.#unpark(job)
    return taken
  }

  #enterFrom(job: InFlightJob, first: number): boolean {
    for (let at = first; at < this.#gates.length; at += 1) {
      const gate = this.#gates[at]!
      if (gate.enter(job)) continue
      job.waitsAt = gate
      job.handler.parked += 1
      this.#hooks.parked(job)
      return false
    }
    return true
  }

  #unpark(job: InFlightJob): void {
    if (!job.waitsAt) return
    job.waitsAt = undefined
    job.handler.parked -= 1
  }
}
