import { controlPrefixes, pausedHandler } from '../core/control-keys.ts'
import { cancelledError } from '../core/outcome.ts'
import type { Cancels } from './cancels.ts'
import type { Clock } from './clock-port.ts'
import type { Deadlines } from './deadlines.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlight } from './in-flight.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { JobLife } from './job-life.ts'
import type { Observer } from './observer-port.ts'
import type { Settlement } from './settlement.ts'
import type { SharedState } from './shared-state-port.ts'

/** A start does not wait longer than this to learn what is paused and cancelled. */
const listedMs = 5_000

/** What an operator's wishes move. */
export interface Controlled {
  readonly shared: SharedState
  readonly clock: Clock
  readonly observer: Observer
  readonly handlers: readonly HandlerState[]
  readonly inFlight: InFlight
  readonly life: JobLife
  readonly settlement: Settlement
  readonly deadlines: Deadlines
  readonly cancels: Cancels
  /** It may be pulled again. */
  resumed(handler: HandlerState): void
  /** The server is to know as well. Told of every handler once at the start, and then of changes. */
  pauseKnown(handler: string, paused: boolean): void
}

/**
 * Does what operators write to the control bucket.
 *
 * 1. An entry `paused.<handler>`: nothing of it is pulled, what has not begun goes back uncharged, what runs
 *    goes on. The entry removed: it is pulled again.
 * 2. An entry `cancelled.<job id>`: what is held of the job and has not begun is given up on at once, what
 *    runs is told to stop and killed after its grace. What is not here meets the entry when it arrives.
 */
export class Controls {
  readonly #parts: Controlled
  #endWatch: (() => void) | undefined

  constructor(parts: Controlled) {
    this.#parts = parts
  }

  /** Resolves when everything is known that was there before, or after a while without an answer. */
  async start(): Promise<void> {
    const { shared, clock, cancels, handlers } = this.#parts
    const pausesListed = new Promise<void>((listed) => {
      this.#endWatch = shared.watch(
        controlPrefixes.paused,
        (key, value) => this.#pause(pausedHandler(key), value !== undefined),
        listed,
      )
    })
    const cancelsListed = new Promise<void>((listed) => {
      cancels.start((id) => this.#cancel(id), listed)
    })
    void pausesListed.then(() => {
      for (const { profile, paused } of handlers) this.#parts.pauseKnown(profile.name, paused)
    })
    let cancelWait = (): void => {}
    const waited = new Promise<void>((resolve) => {
      cancelWait = clock.after(listedMs, resolve)
    })
    await Promise.race([Promise.all([pausesListed, cancelsListed]), waited])
    cancelWait()
  }

  stop(): void {
    this.#endWatch?.()
    this.#parts.cancels.stop()
  }

  #pause(name: string, paused: boolean): void {
    const { handlers, life, observer } = this.#parts
    const handler = handlers.find(({ profile }) => profile.name === name)
    if (!handler || handler.paused === paused) return
    handler.paused = paused
    observer.handlerPaused(name, paused)
    if (paused) life.beginning.giveBack(handler)
    else this.#parts.resumed(handler)
    this.#parts.pauseKnown(name, paused)
  }

  #cancel(id: string): void {
    for (const job of [...this.#parts.inFlight.all()]) if (job.jobId === id) this.#end(job)
  }

  #end(job: InFlightJob): void {
    const { clock, deadlines, life, settlement } = this.#parts
    if (life.beginning.takeOut(job)) {
      job.threadId = 0
      void settlement.deadLetter(job, 'cancelled', cancelledError, job.attempt - 1)
      return
    }
    // What is told to stop already has its reason; what is not on a thread is being admitted or settled.
    const { lane } = job
    if (!lane || job.abortCode !== undefined) return
    job.abortCode = 'cancelled'
    job.cancelledAt = clock.monotonicMs()
    lane.abort(job, 'cancelled')
    deadlines.watchCancelled(job, lane)
  }
}
