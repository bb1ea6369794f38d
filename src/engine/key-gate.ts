import type { Clock } from './clock-port.ts'
import type { Gate } from './gates.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import { KeyLine } from './key-line.ts'
import type { Marks } from './marks.ts'

/** A job that waits for longer is marked in its record: a crash of the process is none of its doing. */
const markAfterMs = 2_000

/** With so many waiting, nothing more of the handler is pulled. Other keys then wait behind them. */
const parkLimit = 1_000
/** A job that has its turn while the lease on its handler is in doubt looks again after this. */
const againMs = 500

interface HandlerKeys {
  readonly lines: Map<string, KeyLine>
  /** What waits here, the longest first. */
  readonly parked: Set<InFlightJob>
  open: boolean
}

/** What the key gate asks of the rest, and tells it. */
export interface KeyGateHooks {
  /** A job that waited here may go on. */
  pass(job: InFlightJob): void
  /** Whether this supervisor may begin keyed jobs of the handler now; when not, it is to see to that. */
  mayBegin(handler: HandlerState): boolean
  /** Deliveries went back to the broker: later ones of their keys may come again before them. */
  disturbed(handler: HandlerState, leaseLost: boolean): void
}

/**
 * Lets jobs of one handler with the same key go on one at a time, in order of publication.
 *
 * 1. The first of a key goes through at once; the others wait in its line until it is settled, whatever becomes
 *    of it. A job whose record is still being read has its place already.
 * 2. Between its attempts a job keeps its turn, and waits here until the next may begin.
 * 3. While the gate of a handler is closed no line moves: this supervisor is not its owner, or jobs of it may
 *    still be elsewhere. Jobs without a key go on.
 * 4. Who waits for long is marked in its record, so that a crash does not count as its attempt.
 */
export class KeyGate implements Gate {
  readonly #clock: Clock
  readonly #marks: Marks
  readonly #hooks: KeyGateHooks
  readonly #handlers = new Map<HandlerState, HandlerKeys>()
  #sweeping = false

  constructor(clock: Clock, marks: Marks, hooks: KeyGateHooks) {
    this.#clock = clock
    this.#marks = marks
    this.#hooks = hooks
  }

  /** Whether we hold jobs of this handler that have keys. */
  holdsKeys(handler: HandlerState): boolean {
    return (this.#handlers.get(handler)?.lines.size ?? 0) > 0
  }

  /** The jobs that have the turn of their keys; they run, or are about to. */
  activeOf(handler: HandlerState): InFlightJob[] {
    const lines = this.#handlers.get(handler)?.lines.values() ?? []
    return [...lines].flatMap(({ active }) => active ?? [])
  }

  open(handler: HandlerState): void {
    const keys = this.#keysOf(handler)
    keys.open = true
    for (const line of [...keys.lines.values()]) this.#advance(keys, line)
  }

  close(handler: HandlerState): void {
    this.#keysOf(handler).open = false
  }

  reserve(job: InFlightJob): void {
    if (job.key !== undefined) lineOf(this.#keysOf(job.handler), job.key).add(job)
  }

  enter(job: InFlightJob): boolean {
    const { key, handler } = job
    if (key === undefined) return true
    const keys = this.#keysOf(handler)
    const line = lineOf(keys, key)
    if (line.active === job && !job.betweenAttempts) return true
    const mayBegin = this.#hooks.mayBegin(handler) && keys.open
    if (mayBegin && line.isEmpty && this.#isDue(job)) {
      line.active = job
      return true
    }
    this.#park(keys, job)
    line.add(job)
    if (line.active === job) this.#begin(keys, line, job)
    else if (mayBegin && !line.active && line.waiting[0] === job) {
      // Its place was kept for it; it goes on after this call, as every job that has waited.
      queueMicrotask(() => this.#advance(keys, line))
    }
    return false
  }

  /** Its turn lasts until it is settled, whatever its attempts come to. */
  ended(): void {}

  settled(job: InFlightJob): void {
    const keys = this.#handlers.get(job.handler)
    if (job.key === undefined || !keys) return
    // It comes again, and nothing that follows it may begin before. While the gate is closed that is waited for.
    if (job.leaseLost || (keys.open && !job.acked)) this.#hooks.disturbed(job.handler, job.leaseLost)
    this.#leave(keys, job, job.key)
  }

  parkRoom(handler: HandlerState): number {
    const keys = this.#handlers.get(handler)
    return keys && keys.parked.size > 0 ? parkLimit - keys.parked.size : Number.POSITIVE_INFINITY
  }

  /** It keeps its place until it is settled, so that nothing overtakes it on its way out. */
  remove(job: InFlightJob): void {
    this.#handlers.get(job.handler)?.parked.delete(job)
  }

  takeAll(handler?: HandlerState): InFlightJob[] {
    const taken: InFlightJob[] = []
    for (const [of, keys] of this.#handlers) {
      if (handler && of !== handler) continue
      taken.push(...keys.parked)
      if (keys.lines.size > 0) this.#hooks.disturbed(of, false)
      keys.parked.clear()
    }
    return taken
  }

  #keysOf(handler: HandlerState): HandlerKeys {
    let keys = this.#handlers.get(handler)
    if (!keys) {
      keys = { lines: new Map(), parked: new Set(), open: false }
      this.#handlers.set(handler, keys)
    }
    return keys
  }

  #leave(keys: HandlerKeys, job: InFlightJob, key: string): void {
    keys.parked.delete(job)
    const line = keys.lines.get(key)
    line?.remove(job)
    if (line?.isEmpty) keys.lines.delete(key)
    else if (line) this.#advance(keys, line)
  }

  /** Gives the turn to the next of the line, if there is one and it may have it. */
  #advance(keys: HandlerKeys, line: KeyLine): void {
    const [next] = line.waiting
    // One that is not parked is still being admitted, and comes by itself, or is on its way out.
    if (line.active || !next || !keys.parked.has(next)) return
    if (!keys.open || !this.#hooks.mayBegin(next.handler)) return
    line.remove(next)
    line.active = next
    this.#begin(keys, line, next)
  }

  /** It has its turn: it goes on as soon as its time has come and its record says so. */
  #begin(keys: HandlerKeys, line: KeyLine, job: InFlightJob): void {
    const goOn = (): void => {
      if (line.active === job && keys.parked.has(job)) this.#begin(keys, line, job)
    }
    const waitMs = (job.record.notBefore ?? 0) - this.#clock.now()
    if (waitMs > 0) this.#clock.after(waitMs, goOn)
    else if (job.betweenAttempts) void this.#marks.clearForRepeat(job).then(goOn)
    // The mark of a suspect stays until no other suspect runs.
    else if (job.isMarked && !job.suspect) void this.#marks.clear(job).then(goOn)
    else if (this.#hooks.mayBegin(job.handler)) {
      keys.parked.delete(job)
      this.#hooks.pass(job)
    } else this.#clock.after(againMs, goOn)
  }

  #isDue(job: InFlightJob): boolean {
    const { notBefore } = job.record
    return !job.betweenAttempts && (notBefore === undefined || notBefore <= this.#clock.now())
  }

  #park(keys: HandlerKeys, job: InFlightJob): void {
    keys.parked.add(job)
    job.parkedAt = this.#clock.monotonicMs()
    if (job.suspect) this.#marks.mark(job)
    this.#sweepLater()
  }

  #sweepLater(): void {
    if (this.#sweeping) return
    this.#sweeping = true
    this.#clock.after(markAfterMs, () => {
      this.#sweeping = false
      const since = this.#clock.monotonicMs() - markAfterMs
      for (const { parked } of this.#handlers.values()) {
        for (const job of parked) {
          if (job.parkedAt > since) break
          if (!job.betweenAttempts) this.#marks.mark(job)
        }
        if (parked.size > 0) this.#sweepLater()
      }
    })
  }
}

function lineOf(keys: HandlerKeys, key: string): KeyLine {
  let line = keys.lines.get(key)
  if (!line) {
    line = new KeyLine()
    keys.lines.set(key, line)
  }
  return line
}
