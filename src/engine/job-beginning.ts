import type { Delayer } from './delayer.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Gates } from './gates.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Lane } from './lanes-port.ts'
import type { Settlement } from './settlement.ts'
import type { Suspects } from './suspects.ts'

/** What a job meets before it runs. */
export interface BeginningParts {
  readonly settlement: Settlement
  readonly gates: Gates
  readonly delayer: Delayer
  readonly suspects: Suspects
  lanes(): Iterable<Lane>
  dispatcherOf(job: { readonly handler: HandlerState }): Dispatcher
  /** Some room became free, or something arrived: look whether to pull. */
  roomChanged(handler: HandlerState): void
}

/**
 * A job from its admission until it begins.
 *
 * 1. `queue`: it goes through the gates, then waits for a thread. Its deadline does not run yet.
 * 2. `parked` and `through`: at a gate it may wait for long; meanwhile it takes up no room.
 * 3. `giveBack`: its handler was paused, or is another supervisor's now; it goes back uncharged. So does what
 *    comes here meanwhile, or while draining.
 * 4. `takeOut`: somebody has cancelled it.
 * 5. `requeue`: it was posted to a thread, or ran on one, and goes to another.
 */
export class JobBeginning {
  /** While draining, what has not begun is given back. */
  draining = false
  readonly #parts: BeginningParts

  constructor(parts: BeginningParts) {
    this.#parts = parts
  }

  queue(job: InFlightJob): void {
    job.handler.movedInARow = 0
    if (this.turnsAway(job)) this.release(job)
    else if (this.#parts.gates.enter(job)) this.#parts.dispatcherOf(job).add(job)
  }

  /** It runs beside no other suspect: a gate sees to that. */
  queueSuspect(job: InFlightJob): void {
    this.#parts.suspects.suspected(job)
    this.queue(job)
  }

  /** It is held until its next attempt may begin. */
  queueAgain(job: InFlightJob): void {
    this.#takeRoom(job)
    this.queue(job)
  }

  /** It has to wait at a gate, perhaps for long. */
  parked(job: InFlightJob): void {
    this.leaveRoom(job)
  }

  /** It has waited, and is past the last gate. */
  through(job: InFlightJob): void {
    if (this.turnsAway(job)) this.release(job)
    else {
      this.#takeRoom(job)
      this.#parts.dispatcherOf(job).add(job)
    }
  }

  /** What has not begun is given back while draining, and while others or nobody may begin it. */
  turnsAway(job: InFlightJob): boolean {
    return this.draining || job.handler.halted
  }

  /** Gives back everything of a handler that has not begun, the earliest first; what runs goes on. */
  giveBack(handler: HandlerState): void {
    const { gates, lanes, dispatcherOf } = this.#parts
    const unbegun = [...gates.takeAll(handler), ...dispatcherOf({ handler }).takeAll(handler)]
    for (const lane of lanes()) {
      for (const job of lane.jobs()) if (job.handler === handler && lane.takeBack(job)) unbegun.push(job)
    }
    unbegun.sort((a, b) => a.sequence - b.sequence)
    for (const job of unbegun) this.release(job)
  }

  /** Gives a job back uncharged, and usually at once: another supervisor, or the next one, starts it. */
  release(job: InFlightJob, delayMs = 0): void {
    this.leaveRoom(job)
    this.#parts.gates.reserve(job)
    this.#parts.gates.ended(job)
    void this.#parts.settlement.release(job, delayMs)
  }

  /** Takes a job out that has not begun, wherever it waits. False when it runs, or is being settled. */
  takeOut(job: InFlightJob): boolean {
    if (job.lane ? !job.lane.takeBack(job) : !this.takeOutWaiting(job)) return false
    this.leaveRoom(job)
    this.#parts.gates.ended(job)
    return true
  }

  /** Takes a job out of where it waits for its time, at a gate or for a thread; false when it does not. */
  takeOutWaiting(job: InFlightJob): boolean {
    const { gates, dispatcherOf, delayer } = this.#parts
    return gates.remove(job) || dispatcherOf(job).remove(job) || delayer.remove(job)
  }

  /** These were on a thread and are to begin on another, before everything that waits. */
  requeue(jobs: readonly InFlightJob[]): void {
    const kept: InFlightJob[] = []
    for (const job of jobs) {
      job.forgetRun()
      if (job.leaseLost) this.drop(job)
      else if (this.turnsAway(job)) this.release(job)
      else kept.push(job)
    }
    if (kept.length > 0) this.#parts.dispatcherOf(kept[0]!).addFirst(kept)
  }

  /** Forgets a delivery that is not ours any more and had not begun: it must not count as an attempt. */
  drop(job: InFlightJob): void {
    this.leaveRoom(job)
    void this.#parts.settlement.abandon(job, false)
  }

  leaveRoom(job: InFlightJob): void {
    if (!job.takesRoom) return
    job.takesRoom = false
    job.source.held -= 1
    this.#parts.roomChanged(job.handler)
  }

  #takeRoom(job: InFlightJob): void {
    if (job.takesRoom) return
    job.takesRoom = true
    job.source.held += 1
  }
}
