import type { AttemptRecord } from '../core/attempt.ts'
import type { DeadLetter, HeaderEntry } from '../core/dead-letter.ts'
import type { Priority } from '../core/names.ts'
import type { DeadLetterPlace } from '../core/replay.ts'

/** One arrival of a job from the broker. */
export interface Delivery {
  readonly handler: string
  readonly priority: Priority
  /** Together with `sequence`, which job it is. */
  readonly stream: string
  readonly subject: string
  readonly sequence: number
  /** How often the broker has delivered this job, this time included. */
  readonly deliveries: number
  /** How many more jobs of this handler and priority the broker had then, not counting redeliveries. */
  readonly pending: number
  /** When the broker stored it; epoch milliseconds. */
  readonly storedAt: number
  /** Where its settlement goes. */
  readonly reply: string
  readonly data: Uint8Array
  /** In order and as often as they were sent; undefined when the message has none. */
  readonly headers: readonly HeaderEntry[] | undefined
  /** Why the headers cannot be read, or not all of them. */
  readonly headerProblem: string | undefined
  /** How many of the application's headers are not among `headers`. */
  readonly headersUnread: number
}

/** Which message of which stream a job is. */
export type JobPlace = Pick<Delivery, 'stream' | 'sequence' | 'storedAt'>

/** The engine's view of the broker. Nothing here throws, except promises where it says so. */
export interface Broker {
  readonly connected: boolean
  /** Rises with every connection; what was sent under an earlier one may have been lost. */
  readonly epoch: number
  /** Asks for up to `count` jobs. They, or the credit, come back through the listener. */
  pull(handler: string, priority: Priority, count: number): void
  /** Whether it hands out jobs of this handler and priority faster than it notes that they are done. */
  isBehind(handler: string, priority: Priority): boolean
  ack(reply: string): void
  /** Gives a delivery back after `delayMs`; 0 is at once. */
  nak(reply: string, delayMs: number): void
  /** Renews the lease of a delivery. */
  extend(reply: string): void
  /** Resolves when the server has read all that was sent before; rejects when that is not known. */
  barrier(): Promise<void>
  /** Resolves when the server has stored the dead letter; rejects when it has not, or cannot tell. */
  publishDeadLetter(letter: DeadLetter, headers: readonly HeaderEntry[], data: Uint8Array): Promise<void>
  /**
   * Whether a job may have a record although it is delivered for the first time: a broker that was killed can have
   * forgotten earlier deliveries.
   */
  mayHaveRecord(stream: string, sequence: number): boolean
  /** The record of the job at this place. Rejects when the bucket cannot be reached. */
  readRecord(stream: string, sequence: number): Promise<AttemptRecord | undefined>
  writeRecord(stream: string, sequence: number, record: AttemptRecord): Promise<void>
  /** Adds releases to whatever record there is now, which may be another supervisor's. */
  releaseRecord(stream: string, sequence: number, deliveries: number): Promise<void>
  /**
   * Removes records, behind every ack that was given before: they must not go while their jobs may come back. Resolves
   * when that is over, whether or not it worked.
   */
  forgetRecords(places: readonly RecordPlace[]): Promise<void>
  /**
   * Whether the stream still has this job, which it has until somebody settles it. Asked behind every ack that was given
   * before. Rejects when nobody can tell.
   */
  isStored(stream: string, sequence: number): Promise<boolean>
  /**
   * Whether this job stands for the replay of a dead letter: the first one that is asked about does, from then
   * on. Rejects when that is not known.
   */
  claimReplay(letter: DeadLetterPlace, job: JobPlace): Promise<boolean>
  /** Resolves when the server has stored how this job ended; rejects when it has not, or cannot tell. */
  storeOutcome(jobId: string, entry: string): Promise<void>
  /** Asks how much of a handler is handed out. Rejects when the broker does not say. */
  readOutstanding(handler: string): Promise<Outstanding>
}

/** What the broker has handed out of a handler, of all priorities and to whomever. */
export interface Outstanding {
  /** Jobs delivered and not acked, given back ones included. */
  readonly deliveries: number
  /** Open pulls that are not ours. */
  readonly otherPulls: number
}

/** Where a job is, and what its record is found by. */
export interface RecordPlace {
  readonly stream: string
  readonly sequence: number
}

/** What the broker tells the engine. */
export interface BrokerListener {
  delivered(delivery: Delivery): void
  /** `count` asked-for jobs will not come. */
  creditReturned(handler: string, priority: Priority, count: number): void
  /** A pull that was sent so long ago has got no answer: what it brings may still be on its way. */
  silent(forMs: number): void
  /** There are, or were, jobs of this handler and priority, and from now on they can be pulled. */
  sourceBound(handler: string, priority: Priority): void
  /** A new connection; open pulls of the old one are void. */
  reconnected(): void
  disconnected(): void
  /** A pull was refused, or not answered: its consumer may have been made anew, and count deliveries from 1 again. */
  countsDoubtful(): void
  /** A stream of jobs was made anew at `createdAt`, or is gone: nothing remembered of the old one applies. */
  streamReplaced(stream: string, createdAt: number): void
  /** Whether this job was finished here, as far as we remember. */
  hasFinished(stream: string, sequence: number, storedAt: number): boolean
}
