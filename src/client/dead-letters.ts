import {
  type DeadLetterFilter,
  type DeadLetterRecord,
  isMeant,
  readDeadLetter,
  type StoredDeadLetter,
} from '../core/dead-letter-record.ts'
import { type ErrorCode, MillraceError } from '../core/errors.ts'
import type { Names } from '../core/names.ts'
import { replayHeaders, replayId } from '../core/replay.ts'
import { deadReasons } from '../core/verdict.ts'
import type { ClientPort } from '../nats/client-broker.ts'
import type { DeadLetterStore } from '../nats/dead-letter-store.ts'
import { AtOnce, Pace } from './at-once.ts'
import { checkHandler } from './new-job.ts'

/** Which dead letters are meant; all of them when nothing is said. */
export interface DeadLetterSelection extends DeadLetterFilter {
  /** Sequences of dead letters, or ids of jobs; what is only digits is a sequence if there is one. */
  readonly which?: readonly string[] | undefined
  /** No more than these, the oldest ones. */
  readonly limit?: number | undefined
  /** Hears of each of `which` that there is no dead letter of. */
  readonly onMissing?: ((which: string) => void) | undefined
}

/** How far a replay or a discard has come. */
export interface DeadLetterProgress {
  /** Published again and deleted; or, by a discard, deleted. */
  readonly done: number
  /** Left where they are, because they can be published nowhere. */
  readonly refused: number
  /** Of the last dead letter that was looked at. */
  readonly sequence: number
}

/** How a replay goes on. */
export interface ReplayOptions {
  /** Jobs a second. @default as many as the broker takes */
  readonly rate?: number | undefined
  /**
   * Answers the payload to publish in place of the dead letter's own, or why the dead letter stays where it is. It is
   * asked about one after the other.
   */
  readonly edit?: ((letter: DeadLetterRecord) => Promise<Uint8Array | string>) | undefined
  readonly onProgress?: ((progress: DeadLetterProgress) => void) | undefined
  /** Hears of each dead letter that stays where it is, and why. */
  readonly onRefused?: ((letter: DeadLetterRecord, why: string) => void) | undefined
}

/** So many replays, or deletions, are on their way at once. */
const atOnce = 64
const headersInPage = 500
const payloadsInPage = 100
/** What hinders one job and no other. */
const refusals: readonly ErrorCode[] = ['payload_too_large', 'invalid_job']

/** The dead letters of a namespace, for operators: looks at them, replays them, throws them away. */
export class DeadLetters {
  readonly #broker: ClientPort
  readonly #store: DeadLetterStore
  readonly #names: Names
  readonly #requestMs: number

  constructor(broker: ClientPort, names: Names, requestMs: number) {
    this.#broker = broker
    this.#store = broker.deadLetters
    this.#names = names
    this.#requestMs = requestMs
  }

  /**
   * Pages of the dead letters that there are now, oldest first. Without `payloads` their `stored.data` is empty,
   * and they cost much less.
   *
   * @throws {MillraceError} `invalid_job` for a selection that makes no sense; `topology_missing`,
   *   `not_permitted`, `broker_unreachable` or `broker_request_failed`.
   */
  async *pages(
    selection: DeadLetterSelection = {},
    { payloads = false }: { payloads?: boolean } = {},
  ): AsyncGenerator<DeadLetterRecord[], void, undefined> {
    yield* this.#pages(selection, payloads, payloads ? payloadsInPage : headersInPage)
  }

  async *#pages(selection: DeadLetterSelection, payloads: boolean, pageSize: number) {
    checkSelection(selection)
    let left = selection.limit ?? Number.POSITIVE_INFINITY
    for await (const page of this.#read(selection, payloads, pageSize)) {
      const meant = page.filter((letter) => isMeant(letter, selection)).slice(0, left)
      left -= meant.length
      if (meant.length > 0) yield meant
      if (left === 0) return
    }
  }

  async *#read({ handler, which, onMissing }: DeadLetterSelection, payloads: boolean, pageSize: number) {
    if (which) {
      yield await this.#lookUp(which, payloads, onMissing)
      return
    }
    for await (const page of this.#store.pages({ handler, payloads, pageSize }, this.#requestMs))
      yield page.map((stored) => this.#record(stored))
  }

  /** How many dead letters there are now. Throws as `pages` does. */
  async count(selection: DeadLetterSelection = {}): Promise<number> {
    let count = 0
    for await (const page of this.pages(selection)) count += page.length
    return count
  }

  /**
   * Publishes jobs again, and deletes the dead letter of each once the server has stored the job.
   *
   * Whoever is interrupted calls it again: a dead letter is there until its job is stored, and of several jobs
   * that were published for one dead letter, supervisors run one. What dies again meanwhile is left alone.
   *
   * @throws {MillraceError} as `pages` does, and `stream_full`: what was done is done.
   */
  async replay(
    selection: DeadLetterSelection = {},
    options: ReplayOptions = {},
  ): Promise<DeadLetterProgress> {
    const { rate, edit, onProgress, onRefused } = options
    if (rate !== undefined && !(Number.isFinite(rate) && rate > 0))
      throw invalid(`rate must be a number of jobs a second above 0, got ${rate}`)
    const pace = rate === undefined ? undefined : new Pace(rate)
    // What is read ahead is about to be published, not in an hour: somebody may discard it meanwhile.
    const pageSize = edit ? 1 : Math.max(1, Math.min(payloadsInPage, Math.ceil(rate ?? payloadsInPage)))
    const tally = new Tally(onProgress)
    const tasks = new AtOnce(atOnce)
    for await (const page of this.#pages(selection, true, pageSize)) {
      for (const letter of page) {
        // What was done so far is done, should the editing come to an end.
        if (edit) await tasks.ended()
        const data = edit ? await edit(letter) : letter.stored.data
        await pace?.turn()
        await tasks.add(async () => {
          const why = typeof data === 'string' ? data : await this.#replay(letter, data)
          if (why === undefined) tally.done(letter.sequence)
          else {
            onRefused?.(letter, why)
            tally.refused(letter.sequence)
          }
        })
      }
    }
    await tasks.ended()
    return tally.progress
  }

  /** Deletes dead letters for good. Throws as `pages` does. */
  async discard(
    selection: DeadLetterSelection = {},
    { onProgress }: Pick<ReplayOptions, 'onProgress'> = {},
  ): Promise<DeadLetterProgress> {
    const tally = new Tally(onProgress)
    const tasks = new AtOnce(atOnce)
    for await (const page of this.pages(selection)) {
      for (const { sequence } of page) {
        await tasks.add(async () => {
          if (await this.#store.remove(sequence, this.#requestMs)) tally.done(sequence)
        })
      }
    }
    await tasks.ended()
    return tally.progress
  }

  /** Answers why it cannot be replayed, or undefined. */
  async #replay(letter: DeadLetterRecord, data: Uint8Array): Promise<string | undefined> {
    const subject = letter.jobSubject ?? ''
    const stream = this.#names.streamOfSubject(subject)
    if (stream === undefined)
      return `its Millrace-Subject is ${JSON.stringify(subject)}, where no job of this namespace belongs`
    try {
      if (!(await this.#publish(letter, data, subject, stream))) return undefined
    } catch (error) {
      if (error instanceof MillraceError && refusals.includes(error.code)) return error.message
      throw error
    }
    await this.#store.remove(letter.sequence, this.#requestMs)
    return undefined
  }

  /** False when somebody else has replayed it meanwhile. */
  async #publish(
    { stored, sequence }: DeadLetterRecord,
    data: Uint8Array,
    subject: string,
    stream: string,
  ): Promise<boolean> {
    const headers = replayHeaders(stored, stored.headers, Date.now())
    const job = { subject, stream, headers, data }
    const first = await this.#broker.publish({ ...job, id: replayId(stored) }, this.#requestMs)
    if (!first.duplicate) return true
    if (await this.#store.isReplayOf(stored, stream, first.sequence, this.#requestMs)) {
      if (Buffer.compare(data, stored.data) === 0) return true
      throw invalid('an earlier replay has published its job already, with another payload')
    }
    // The job that had this id is gone. It was ours, unless the stream of dead letters was made anew within the
    // duplicate window; then its id says nothing about this dead letter. A second job of ours does not run.
    if (!(await this.#store.get(sequence, this.#requestMs))) return false
    await this.#broker.publish({ ...job, id: replayId(stored, true) }, this.#requestMs)
    return true
  }

  async #lookUp(
    which: readonly string[],
    payloads: boolean,
    onMissing: DeadLetterSelection['onMissing'],
  ): Promise<DeadLetterRecord[]> {
    const found = new Map<number, DeadLetterRecord>()
    const ids = new Set<string>()
    for (const text of which) {
      const stored = /^\d{1,15}$/.test(text)
        ? await this.#store.get(Number(text), this.#requestMs)
        : undefined
      if (stored) found.set(stored.sequence, this.#record(stored))
      else ids.add(text)
    }
    const known = new Set<string>()
    if (ids.size > 0) {
      for await (const page of this.#pages({}, false, headersInPage)) {
        for (const letter of page) {
          if (letter.jobId === undefined || !ids.has(letter.jobId)) continue
          known.add(letter.jobId)
          const stored = payloads ? await this.#store.get(letter.sequence, this.#requestMs) : letter.stored
          if (stored) found.set(letter.sequence, this.#record(stored))
        }
      }
    }
    for (const id of ids) if (!known.has(id)) onMissing?.(id)
    return [...found.values()].sort((a, b) => a.sequence - b.sequence)
  }

  #record(stored: StoredDeadLetter): DeadLetterRecord {
    return readDeadLetter(stored, stored.subject.slice(this.#names.deadSubject('').length))
  }
}

/** Counts, and says so. */
class Tally {
  readonly #onProgress: ReplayOptions['onProgress']
  progress: DeadLetterProgress = { done: 0, refused: 0, sequence: 0 }

  constructor(onProgress: ReplayOptions['onProgress']) {
    this.#onProgress = onProgress
  }

  done(sequence: number): void {
    this.#set({ ...this.progress, done: this.progress.done + 1, sequence })
  }

  refused(sequence: number): void {
    this.#set({ ...this.progress, refused: this.progress.refused + 1, sequence })
  }

  #set(progress: DeadLetterProgress): void {
    this.progress = progress
    this.#onProgress?.(progress)
  }
}

/** @throws {MillraceError} `invalid_job` for a selection that makes no sense. */
export function checkSelection({ handler, reason, since, limit }: DeadLetterSelection): void {
  if (handler !== undefined) checkHandler(handler)
  if (reason !== undefined && !(deadReasons as readonly string[]).includes(reason))
    throw invalid(`reason must be one of ${deadReasons.join(', ')}, got ${JSON.stringify(reason)}`)
  if (since !== undefined && Number.isNaN(since.getTime())) throw invalid('since must be a valid Date')
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 1))
    throw invalid(`limit must be a whole number of at least 1, got ${limit}`)
}

function invalid(message: string): MillraceError {
  return new MillraceError('invalid_job', message)
}
