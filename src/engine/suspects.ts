import type { Clock } from './clock-port.ts'
import type { Gate } from './gates.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Marks } from './marks.ts'

/** Suspects of the same crash come back together; the first of them waits so long for the rest. */
const companionMs = 100
/** It waits no longer than for so many of them one after the other. */
const companionLimit = 10
/** Up to so many run one at a time. */
const few = 8

/** What the gate of the suspects asks and tells. */
export interface SuspectHooks {
  /** Asks the broker what has become of it; false when somebody else has settled it, or does so. */
  lookAgain(job: InFlightJob): Promise<boolean>
  /** Somebody else settles it: it is to be let go of. */
  gone(job: InFlightJob): void
  /** Its turn has come. */
  pass(job: InFlightJob): void
}

/**
 * The gate that lets suspects go on one at a time, or, of many, a few.
 *
 * A suspect is a job that may have killed its process, or its thread beside other jobs. Only when it
 * runs beside no other suspect does the next crash tell for certain who did it. While one waits here,
 * its record says that this delivery does not count, so that a crash of the process charges only the
 * suspects that were running; the mark is taken back before their own turn.
 *
 * A process that held a thousand jobs leaves a thousand suspects, nearly all of them innocent. Of more than eight,
 * with those that run, as many run side by side as the square root of their number: if one of them ends the process
 * again, those are charged once more, and from then on each of them runs alone. Whoever has no attempt to spare for
 * that, or was in such company before, runs alone in the first place, so that nobody becomes a dead letter for the
 * company that it kept. With n suspects and one culprit, about 2√n runs come one after the other instead of n.
 *
 * One crash brings many jobs back at the same moment. The first suspect of a series therefore begins only
 * when no other has arrived for 100 ms and all marks are stored: begun at once, it could bring the process
 * down before the others are marked, again and again, until they are out of attempts. Those that come later are marked
 * while one runs, and do not hold up the rest.
 *
 * Until its turn comes, whoever was thought dead may have completed it. So the broker is asked first what has become
 * of it.
 *
 * A suspect with a key comes here when it is the first of its key, so that it never waits here for an
 * earlier job of its key, which would wait for it.
 */
export class Suspects implements Gate {
  readonly #clock: Clock
  readonly #marks: Marks
  readonly #hooks: SuspectHooks
  readonly #waiting: InFlightJob[] = []
  readonly #admitting = new Set<Promise<unknown>>()
  #lastArrivalAt = Number.NEGATIVE_INFINITY
  /** None has run since there were none. */
  #seriesBegins = false
  readonly #running = new Set<InFlightJob>()
  #choosing = false

  constructor(clock: Clock, marks: Marks, hooks: SuspectHooks) {
    this.#clock = clock
    this.#marks = marks
    this.#hooks = hooks
  }

  /** This job is a suspect from now on; it comes here when it is the first of its key. */
  suspected(job: InFlightJob): void {
    job.suspect = true
    job.isAllOurs = false
    this.#lastArrivalAt = this.#clock.monotonicMs()
  }

  enter(job: InFlightJob): boolean {
    if (!job.suspect || this.#running.has(job)) return true
    this.#add(job)
    return false
  }

  /** A redelivered job has arrived, and its record is being read: it may become a suspect. */
  expect(admitted: Promise<unknown>): void {
    this.#admitting.add(admitted)
    void admitted.finally(() => this.#admitting.delete(admitted))
  }

  #add(job: InFlightJob): void {
    this.#waiting.push(job)
    if (this.#running.size > 0 || this.#waiting.length > 1) this.#marks.mark(job)
    else this.#seriesBegins = true
    this.#next()
  }

  /** A suspect that ran has ended, whichever way. */
  ended(job: InFlightJob): void {
    if (this.#running.delete(job)) this.#next()
  }

  takeAll(handler?: HandlerState): InFlightJob[] {
    const waiting = this.#waiting.splice(0)
    if (!handler) return waiting
    this.#waiting.push(...waiting.filter((job) => job.handler !== handler))
    return waiting.filter((job) => job.handler === handler)
  }

  remove(job: InFlightJob): void {
    const at = this.#waiting.indexOf(job)
    if (at >= 0) this.#waiting.splice(at, 1)
  }

  settled(job: InFlightJob): void {
    this.remove(job)
  }

  #next(): void {
    if (this.#choosing || this.#room() === 0) return
    this.#choosing = true
    void this.#choose()
  }

  /** How many of those that wait may begin now. */
  #room(): number {
    const [first] = this.#waiting
    if (!first) return 0
    const all = this.#waiting.length + this.#running.size
    const sharing = all > few && maySharePlace(first)
    if (this.#running.size === 0) return sharing ? placesFor(all) : 1
    if (!sharing || ![...this.#running].every(({ sharesPlace }) => sharesPlace)) return 0
    return Math.max(0, placesFor(all) - this.#running.size)
  }

  async #choose(): Promise<void> {
    if (this.#seriesBegins) await this.#companions()
    await Promise.all(this.#admitting)
    // Every other suspect's mark must be stored before these can bring the process down.
    await this.#marks.stored()
    const room = this.#room()
    const chosen =
      room > 1 ? this.#waiting.filter(maySharePlace).slice(0, room) : this.#waiting.slice(0, room)
    const ours = await Promise.all(chosen.map((job) => this.#prepare(job)))
    this.#choosing = false
    for (const [at, job] of chosen.entries()) {
      if (!this.#waiting.includes(job)) continue
      if (ours[at]) this.#begin(job, this.#running.size > 0 || room > 1)
      else this.#hooks.gone(job)
    }
    this.#next()
  }

  /** Makes its record say what is so if it begins now; false when somebody else settles it. */
  async #prepare(job: InFlightJob): Promise<boolean> {
    const isOurs = await this.#hooks.lookAgain(job)
    // It may have been taken out meanwhile, and then its mark has to stay.
    if (isOurs && this.#waiting.includes(job)) await this.#marks.clear(job)
    return isOurs
  }

  #begin(job: InFlightJob, shares: boolean): void {
    this.remove(job)
    this.#seriesBegins = false
    job.sharesPlace = shares
    this.#running.add(job)
    this.#hooks.pass(job)
  }

  async #companions(): Promise<void> {
    for (let looks = 0; looks < companionLimit; looks += 1) {
      const waitMs = this.#lastArrivalAt + companionMs - this.#clock.monotonicMs()
      if (waitMs <= 0) break
      await new Promise<void>((resolve) => this.#clock.after(waitMs, resolve))
    }
  }
}

/** Once more charged it still has an attempt, and it has not been charged for company before. */
function maySharePlace({
  attempt,
  maxAttempts,
  unexplained,
  sharesPlace,
  recordUnread,
}: InFlightJob): boolean {
  return attempt < maxAttempts && unexplained <= 1 && !sharesPlace && !recordUnread
}

function placesFor(suspects: number): number {
  return Math.ceil(Math.sqrt(suspects))
}
