import { JetStreamApiError, type StreamInfo } from '@nats-io/jetstream'
import { type KV, type KvEntry, Kvm } from '@nats-io/kv'
import { errors, type NatsConnection } from '@nats-io/transport-node'
import { type AttemptRecord, noRecord, readAttemptRecord, withRelease } from '../core/attempt.ts'
import { isRecord } from '../core/field-checks.ts'
import type { Names } from '../core/names.ts'
import type { DeadLetterPlace } from '../core/replay.ts'
import type { JobPlace, RecordPlace } from '../engine/broker-port.ts'
import type { Incarnations } from './incarnations.ts'
import { type Refused, readAnswer } from './publish-answer.ts'
import { Requests } from './requests.ts'

/** A record that is not to be had within this is done without. */
const readMs = 2_000
const releaseTries = 3
const messageMissing = 10037
const deleteFailed = 10057
/** The places of so many records are known; those beyond are removed by their keys. */
const mostRevisions = 50_000
const decoder = new TextDecoder()

interface StoredRecord extends AttemptRecord {
  /** When the job's stream was made: which incarnation of it this belongs to. */
  readonly stream: string
}

/** The job that stands for the replay of a dead letter. */
interface StoredClaim extends JobPlace {
  /** When the job's stream was made. */
  readonly createdAt: string
}

/**
 * The records of jobs that were delivered more than once, in the bucket `<namespace>_attempts` under
 * `<stream>.<sequence>`. A record of another incarnation of the stream is none. Which job stands for the replay of
 * a dead letter is here, too, under `<dead-letter stream>.<sequence>.<when it was stored>`.
 */
export class AttemptsBucket {
  readonly #nc: NatsConnection
  readonly #requests: Requests
  readonly #names: Names
  readonly #incarnations: Incarnations
  /** Where in the bucket's stream the records are, as far as they were written or read here. */
  readonly #revisions = new Map<string, number>()
  /** Of which incarnation of that stream; undefined while that is not known, and no place is noted. */
  #createdAt: string | undefined
  /** The last place that it is known to have had. */
  #lastRevision = 0
  /** False once it was heard that this bucket, or this user, may not delete single messages: removal is by key then. */
  #mayDelete = true
  #bucket: Promise<KV> | undefined

  constructor(nc: NatsConnection, names: Names, incarnations: Incarnations) {
    this.#nc = nc
    this.#requests = new Requests(nc, readMs)
    this.#names = names
    this.#incarnations = incarnations
  }

  /** Asks the stream's leader: another server may not know yet what was written a moment ago. */
  async read(stream: string, sequence: number): Promise<AttemptRecord | undefined> {
    const query = JSON.stringify({ last_by_subj: this.#subject(stream, sequence) })
    const { data } = await this.#requests.send(`$JS.API.STREAM.MSG.GET.${this.#bucketStream}`, query)
    const { error, message } = JSON.parse(decoder.decode(data)) as Partial<Refused> & {
      message?: { seq?: number; hdrs?: string; data?: string }
    }
    if (error && error.err_code !== messageMissing) throw new JetStreamApiError(error)
    if (!message || isMarker(message.hdrs)) return undefined
    if (message.seq !== undefined) this.#isAt(stream, sequence, message.seq)
    return this.#decode(stream, fromBase64(message.data))
  }

  async write(stream: string, sequence: number, record: AttemptRecord): Promise<void> {
    const { data } = await this.#requests.send(this.#subject(stream, sequence), this.#encode(stream, record))
    const text = decoder.decode(data)
    const answer = readAnswer(text, this.#bucketStream)
    if (!answer) throw new Error(`not an answer to a record: ${text.slice(0, 200)}`)
    if ('error' in answer) throw new JetStreamApiError(answer.error)
    this.#isAt(stream, sequence, answer.sequence)
  }

  /**
   * Adds releases to the record as it is now. The last delivery was lost to another supervisor, which may be
   * writing too, so a record that changed meanwhile is read again.
   */
  async release(stream: string, sequence: number, deliveries: number): Promise<void> {
    const bucket = await this.#open()
    const at = key(stream, sequence)
    for (let triesLeft = releaseTries; ; triesLeft -= 1) {
      const entry = await within(readMs, bucket.get(at))
      const stored = this.#decodeEntry(stream, entry) ?? noRecord
      const record = this.#encode(stream, withRelease(stored, deliveries))
      try {
        const written = entry ? bucket.update(at, record, entry.revision) : bucket.create(at, record)
        this.#isAt(stream, sequence, await within(readMs, written))
        return
      } catch (error) {
        if (triesLeft === 1) throw error
      }
    }
  }

  /**
   * Whether this job stands for the replay of a dead letter. Whoever writes the entry first does; it stays when
   * the job is settled, because the other job may come later. A claim of a job whose stream was deleted is void.
   */
  async claimReplay(letter: DeadLetterPlace, job: JobPlace): Promise<boolean> {
    const bucket = await this.#open()
    const at = `${key(letter.stream, letter.sequence)}.${letter.storedAt}`
    const { stream, sequence, storedAt } = job
    const own: StoredClaim = { stream, sequence, storedAt, createdAt: this.#incarnations.of(stream) }
    try {
      await within(readMs, bucket.create(at, JSON.stringify(own)))
      return true
    } catch (refusal) {
      const entry = await within(readMs, bucket.get(at))
      // Nobody was first after all, or another replica does not know of it yet.
      if (entry?.operation !== 'PUT') throw refusal
      const claim = entry.json<StoredClaim>()
      if (claim.stream === stream && claim.sequence === sequence && claim.storedAt === storedAt) return true
      if (claim.createdAt === this.#incarnations.of(claim.stream)) return false
      await within(readMs, bucket.update(at, JSON.stringify(own), entry.revision))
      return true
    }
  }

  /**
   * Removes records without leaving markers. It leaves right behind what was handed to the connection before, such as
   * the acks of their jobs. Resolves when that is over, and rejects never: what is left expires.
   *
   * By their places in the bucket's stream, for 0.03 ms of the server's each, when that is still the same stream; a
   * record that somebody else has written since stays. By their keys, for those whose place is not known, it takes
   * nats-server 2.9.10 up to 3 ms each when there are 20,000 records, and 2.10.27 0.3 ms.
   */
  async forget(places: readonly RecordPlace[]): Promise<void> {
    const mayDelete = this.#mayDelete && (await this.#isSame())
    const revisionOf = ({ stream, sequence }: RecordPlace) =>
      mayDelete ? this.#revisions.get(key(stream, sequence)) : undefined
    const removed = places.map((place) => this.#remove(place, revisionOf(place)))
    for (const { stream, sequence } of places) this.#revisions.delete(key(stream, sequence))
    this.#requests.flush()
    await Promise.all(removed)
  }

  async #remove(place: RecordPlace, revision: number | undefined): Promise<void> {
    try {
      if (revision === undefined || !(await this.#delete(revision))) await this.#purge(place)
    } catch {
      // It is not to be had, and nobody is kept waiting for that.
    }
  }

  /** False when that is not permitted. */
  async #delete(revision: number): Promise<boolean> {
    const request = JSON.stringify({ seq: revision, no_erase: true })
    try {
      const { data } = await this.#requests.send(`$JS.API.STREAM.MSG.DELETE.${this.#bucketStream}`, request)
      const text = decoder.decode(data)
      const { error } = (text.includes('"error"') ? JSON.parse(text) : {}) as Partial<Refused>
      if (error?.err_code === deleteFailed && error.description.includes('not permitted'))
        this.#mayDelete = false
    } catch (error) {
      if (error instanceof errors.PermissionViolationError) this.#mayDelete = false
      else throw error
    }
    return this.#mayDelete
  }

  async #purge({ stream, sequence }: RecordPlace): Promise<void> {
    const filter = JSON.stringify({ filter: this.#subject(stream, sequence) })
    await this.#requests.send(`$JS.API.STREAM.PURGE.${this.#bucketStream}`, filter)
  }

  #isAt(stream: string, sequence: number, revision: number): void {
    if (this.#createdAt === undefined) return
    this.#lastRevision = Math.max(this.#lastRevision, revision)
    const at = key(stream, sequence)
    // Answers of a read and a write that were under way together can come in either order.
    if (revision > (this.#revisions.get(at) ?? 0)) this.#revisions.set(at, revision)
    if (this.#revisions.size > mostRevisions) this.#revisions.delete(this.#revisions.keys().next().value!)
  }

  /** Notes which incarnation of its stream the bucket has: what is written and read from now on has its place there. */
  async look(): Promise<void> {
    this.reset()
    await this.#isSame()
  }

  /**
   * Whether the places that were noted are those of the stream that is there: another one has other records at them,
   * and so can one that lost its end, as a server does that loses power.
   */
  async #isSame(): Promise<boolean> {
    try {
      const { data } = await this.#requests.send(`$JS.API.STREAM.INFO.${this.#bucketStream}`, '')
      const { created, state } = JSON.parse(decoder.decode(data)) as Partial<StreamInfo>
      if (created === this.#createdAt && state && state.last_seq >= this.#lastRevision) return true
      this.#revisions.clear()
      this.#createdAt = created
      this.#lastRevision = state?.last_seq ?? 0
    } catch {
      // Without an answer nobody knows.
    }
    return false
  }

  /** Looks the bucket up again next time: it may have been made anew, or be another server's. */
  reset(): void {
    this.#bucket = undefined
    this.#mayDelete = true
    this.#createdAt = undefined
    this.#lastRevision = 0
    this.#revisions.clear()
  }

  #encode(stream: string, record: AttemptRecord): string {
    const stored: StoredRecord = { stream: this.#incarnations.of(stream), ...record }
    return JSON.stringify(stored)
  }

  #decodeEntry(of: string, entry: KvEntry | null): AttemptRecord | undefined {
    return entry?.operation === 'PUT' ? this.#decode(of, entry.string()) : undefined
  }

  #decode(of: string, text: string): AttemptRecord | undefined {
    const stored = parseObject(text)
    return stored?.['stream'] === this.#incarnations.of(of) ? readAttemptRecord(stored) : undefined
  }

  get #bucketStream(): string {
    return `KV_${this.#names.attemptsBucket}`
  }

  #subject(stream: string, sequence: number): string {
    return `$KV.${this.#names.attemptsBucket}.${key(stream, sequence)}`
  }

  #open(): Promise<KV> {
    this.#bucket ??= new Kvm(this.#nc).open(this.#names.attemptsBucket, { timeout: readMs })
    this.#bucket.catch(() => {
      this.#bucket = undefined
    })
    return this.#bucket
  }
}

/** Of an entry that was removed. */
function isMarker(headers: string | undefined): boolean {
  return headers !== undefined && /^KV-Operation:/m.test(fromBase64(headers))
}

function fromBase64(text = ''): string {
  return Buffer.from(text, 'base64').toString()
}

/** What is no JSON object is no record either. */
function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return isRecord(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

function key(stream: string, sequence: number): string {
  return `${stream}.${sequence}`
}

function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
