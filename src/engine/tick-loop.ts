import { MillraceError } from '../core/errors.ts'
import { planTick, type TickSchedule } from '../core/tick-plan.ts'
import { advanced, firstRecord, payloadOnRecord, published, type TickRecord, tickId } from '../core/ticks.ts'
import type { Clock } from './clock-port.ts'
import { Pauses } from './pauses.ts'
import type { StoredTick, TickObserver, TickStore } from './ticks-port.ts'

/** Never sleeps longer, so that a clock that steps is noticed. */
const longestSleepMs = 5_000
/** Pause after an error, and while the broker is away. */
const againMs = 500
/** Whoever claimed a tick has so long to publish its job; then somebody else does. */
const claimMs = 1_000
/** Pause before a claimed tick is first looked at again; doubled each time. */
const firstLookMs = 20
/** Whoever comes new leaves what became due before to the others for so long. */
const newcomerMs = 2_000
const holdMs = 250
/** A record that is ahead by more than the clocks of a fleet may differ is told of. */
const aheadMs = 60_000

/** What every schedule of a supervisor needs. */
export interface TickParts {
  readonly store: TickStore
  readonly clock: Clock
  readonly observer: TickObserver
  readonly supervisorId: string
}

interface Known {
  readonly record: TickRecord
  readonly revision: number
}

/**
 * Publishes the ticks of one schedule, beside any number of supervisors that do the same.
 *
 * 1. Look: which tick is due, after the one that the shared record names.
 * 2. Claim it: write it to the record, expecting that nobody else has. Whoever is too late looks again.
 * 3. Publish its job. The message id makes a second publish harmless for as long as the broker remembers it;
 *    `TickFence` stands behind that.
 * 4. Mark it: write the job's sequence to the record. No later tick is claimed before that, so the record
 *    knows the job of every tick.
 *
 * The record also says whose jobs these are and what is in them, for whoever runs the schedule by hand; a supervisor
 * that comes new corrects that.
 *
 * A claimer may die after 2 or 3. A tick that stays claimed is completed by whoever sees it: steps 3 and 4
 * again.
 */
export class TickLoop {
  readonly schedule: TickSchedule
  readonly #parts: TickParts
  /** The record, as it was last read or written; undefined when it has to be read. */
  #known: Known | undefined
  #watchedSince = 0
  /** On the monotonic clock; undefined before the record was first read. */
  #newUntil: number | undefined
  #madeUpTo = Number.NEGATIVE_INFINITY
  /** The claimed record that we wait for, and since when on the monotonic clock. */
  #awaited: { revision: number; since: number } | undefined
  /** A tick whose job we may have published: the answer was lost. */
  #unsure: number | undefined
  /** The record said once of the schedule itself what is so. */
  #declared = false
  #stopping = false
  #running: Promise<void> | undefined
  readonly #pauses: Pauses

  constructor(schedule: TickSchedule, parts: TickParts) {
    this.schedule = schedule
    this.#parts = parts
    this.#pauses = new Pauses(parts.clock)
  }

  start(): void {
    this.#watchedSince = this.#parts.clock.now()
    this.#running ??= this.#run()
  }

  /** Claims nothing more; resolves when what is under way is finished. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#pauses.end()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const pauseMs = await this.#turn()
      if (pauseMs > 0 && !this.#stopping) await this.#pauses.for(Math.min(pauseMs, longestSleepMs))
    }
  }

  /** Returns for how long there is nothing to do. */
  async #turn(): Promise<number> {
    const { store, observer } = this.#parts
    if (!store.connected) return againMs
    try {
      return await this.#look()
    } catch (error) {
      // Whether it was carried out is not known: the record tells.
      this.#known = undefined
      if (store.connected) observer.unavailable(this.schedule.name, error)
      return againMs
    }
  }

  async #look(): Promise<number> {
    const { clock, supervisorId } = this.#parts
    const known = this.#known ?? (await this.#read())
    if (!known) return 0
    const { record } = known
    if (record.state === 'claimed') return this.#await(known)
    this.#awaited = undefined
    if (!this.#declared && !this.#isDeclaredIn(record)) {
      await this.#write(record, known.revision)
      return 0
    }
    this.#declared = true
    const now = clock.now()
    if (record.instant > now + aheadMs) return this.#isAhead(record)
    this.#watchedSince = Math.min(this.#watchedSince, now)
    this.#newUntil ??= clock.monotonicMs() + newcomerMs
    const step = planTick(this.schedule, {
      cursor: record.instant,
      now,
      watchedSince: this.#watchedSince,
      mayJudge: clock.monotonicMs() >= this.#newUntil,
      madeUpTo: this.#madeUpTo,
    })
    if (step.kind === 'wait') return step.until === undefined ? longestSleepMs : step.until - now
    if (step.kind === 'hold') {
      this.#known = undefined
      return holdMs
    }
    const state =
      step.kind === 'pass' ? 'missed' : (await this.#mustSkip(record)) ? 'skipped' : ('claimed' as const)
    const written = await this.#write(advanced(record, step.instant, state, supervisorId), known.revision)
    if (!written) {
      if (step.kind === 'publish') this.#parts.observer.duplicate(this.schedule.name)
      return 0
    }
    if (step.kind === 'publish') this.#madeUpTo = step.madeUpTo
    this.#say(state, step)
    if (state === 'claimed') await this.#complete(written)
    return 0
  }

  /**
   * Nothing ticks before the instant of the record. Whoever wrote it had a clock that was wrong, or was none of us.
   * It is read again each time, because nobody tells us when it is removed.
   */
  #isAhead({ instant }: TickRecord): number {
    this.#known = undefined
    const { name } = this.schedule
    const message = `the record of ${name} is at ${new Date(instant).toISOString()}, ahead of this clock, and nothing ticks before that; correct the clock, or remove the record: it begins anew then`
    this.#parts.observer.unavailable(name, new MillraceError('topology_conflict', message))
    return longestSleepMs
  }

  #say(state: TickRecord['state'], step: { instant: number; missed: number }): void {
    const { observer } = this.#parts
    const until = state === 'missed' ? step.instant + 1 : step.instant
    if (step.missed > 0) observer.missed(this.schedule, step.missed, until)
    if (state === 'skipped') observer.skipped(this.schedule, step.instant)
  }

  /** Somebody is publishing this tick. Our own claims whose answer was lost are not waited for. */
  async #await(known: Known): Promise<number> {
    const { clock, supervisorId } = this.#parts
    const now = clock.monotonicMs()
    if (this.#awaited?.revision !== known.revision) this.#awaited = { revision: known.revision, since: now }
    const waitedMs = now - this.#awaited.since
    if (known.record.supervisor === supervisorId || waitedMs >= claimMs) {
      await this.#complete(known)
      return 0
    }
    this.#known = undefined
    return Math.min(Math.max(firstLookMs, waitedMs), claimMs - waitedMs)
  }

  /** Publishes the job of a claimed tick, and marks it. */
  async #complete({ record, revision }: Known): Promise<void> {
    const { store, observer } = this.#parts
    const { name, handler, payload } = this.schedule
    const { instant } = record
    const id = tickId(name, instant)
    const wasUnsure = this.#unsure === instant
    this.#unsure = instant
    const job = await store.publishJob({ id, schedule: name, handler, instant, payload })
    this.#unsure = undefined
    if (!job.duplicate || wasUnsure) observer.published(this.schedule, instant, id)
    else observer.duplicate(name)
    await this.#write(published(record, job.sequence), revision)
  }

  /**
   * Whoever runs a schedule by hand finds in its record what to run. Seen to once: while two versions of a schedule
   * run side by side, they would else correct each other for ever.
   */
  #isDeclaredIn({ handler, payload }: TickRecord): boolean {
    return handler === this.schedule.handler && payload === payloadOnRecord(this.schedule.payload)
  }

  async #mustSkip({ jobs }: TickRecord): Promise<boolean> {
    const last = jobs.at(-1)
    if (this.schedule.overlap === 'allow' || !last) return false
    const { handler, name } = this.schedule
    return !(await this.#parts.store.isSettled(handler, tickId(name, last.instant), last.sequence))
  }

  /** Undefined when there was no record, and perhaps is one now. */
  async #read(): Promise<Known | undefined> {
    const { store, clock, supervisorId } = this.#parts
    const { record, revision }: StoredTick = await store.read(this.schedule.name)
    if (!record) {
      await this.#write(firstRecord(clock.now(), supervisorId), revision)
      return undefined
    }
    this.#known = { record, revision }
    return this.#known
  }

  /** Undefined when somebody else has written meanwhile; the record has to be read again then. */
  async #write(record: TickRecord, revision: number): Promise<Known | undefined> {
    const { name, handler } = this.schedule
    const { payload: _, ...rest } = record
    const payload = payloadOnRecord(this.schedule.payload)
    const declared = { ...rest, handler, ...(payload !== undefined && { payload }) }
    const written = await this.#parts.store.write(name, declared, revision)
    this.#known = written === undefined ? undefined : { record: declared, revision: written }
    this.#declared ||= written !== undefined
    return this.#known
  }
}
