import type { Random } from '../random.ts'
import { compareLetter, indexOf, type StoredLetter } from './dead-letters.ts'
import { drawMessage, type FuzzMessage } from './messages.ts'
import { type Expectation, expect } from './oracle.ts'
import type { PublishAnswer } from './wire.ts'

/** A stored message whose end is not known yet; the message itself is made again when it is needed. */
interface Open {
  readonly index: number
  readonly nowMs: number
  readonly expected: Expectation
  /** It has another place by now, or will have. */
  readonly moves: boolean
}

/** Keeps account of every message: what the server said, what must become of it, what did. */
export class Accounts {
  readonly #run: Random
  readonly #report: (finding: string, example?: string) => void
  /** By `<stream>:<sequence>`. */
  readonly #open = new Map<string, Open>()
  /** The same messages by number, of those that move. */
  readonly #moving = new Map<number, string>()
  readonly counts = new Map<string, number>()
  /** Messages on subjects that no handler has, by stream and subject. */
  readonly unclaimed = new Map<string, number>()
  /**
   * A record of attempts could not be written or read in time, and the log said so: then the deliveries alone count,
   * as `docs/guarantees.md` says under G4, and an attempt without a record is a crash.
   */
  recordsLost = false
  /** How many jobs were told of because what they left behind came to light too late to make failures of them. */
  leaksTold = 0
  #leaksTaken = 0
  #later = 0
  #strayDelayed = 0

  constructor(run: Random, report: (finding: string, example?: string) => void) {
    this.#run = run
    this.#report = report
  }

  /** How many wait for a time after the run. */
  get later(): number {
    return this.#later
  }

  get strayDelayed(): number {
    return this.#strayDelayed
  }

  get completed(): number {
    return this.counts.get('completed') ?? 0
  }

  published(message: FuzzMessage, nowMs: number, answer: PublishAnswer): void {
    const { target, headers, index } = message
    this.#count(`payload ${message.payload.kind}`)
    this.#count(`subject ${target.kind}`)
    for (const kind of headers.kinds) this.#count(`header ${kind}`)
    if (answer.kind === 'refused' || answer.kind === 'nobody') {
      this.#count(answer.kind === 'nobody' ? 'no stream takes it' : 'refused by the server')
      const mayBe = target.kind === 'nowhere' || (answer.kind === 'refused' && headers.steersServer)
      if (!mayBe) this.#find(message, `the server answered ${JSON.stringify(answer)}`)
      return
    }
    if (answer.kind === 'duplicate') {
      this.#count('duplicate')
      if (!headers.steersServer) this.#find(message, 'the server takes it for a duplicate')
      return
    }
    const expected = expect(message)
    const waits = headers.meanings.includes('soon') || target.kind === 'due'
    const moves = expected.place === 'settled' && waits
    if (expected.place === 'later') {
      this.#count('waits for its time')
      this.#later += 1
      return
    }
    if (expected.place === 'unclaimed') {
      this.#count('unclaimed')
      const key = `${answer.stream} ${message.subject}`
      this.unclaimed.set(key, (this.unclaimed.get(key) ?? 0) + 1)
      return
    }
    if (expected.place === 'stray') {
      this.#count('stays where it is')
      if (answer.stream.endsWith('_DELAYED')) this.#strayDelayed += 1
    }
    this.#open.set(`${answer.stream}:${answer.sequence}`, { index, nowMs, expected, moves })
    if (moves) this.#moving.set(index, `${answer.stream}:${answer.sequence}`)
  }

  died(letter: StoredLetter): void {
    const forged = `JOBS_DEAD:${letter.sequence}`
    if (this.#open.get(forged)?.expected.place === 'stray') {
      this.#open.delete(forged)
      return
    }
    const [stream, sequence] = ['Millrace-Stream', 'Millrace-Sequence'].map(
      (name) => letter.headers.get(name)?.[0],
    )
    const index = indexOf(letter)
    const moved = index === undefined ? undefined : this.#moving.get(index)
    const key = moved ?? `${stream}:${sequence}`
    const open = this.#open.get(key)
    if (!open) {
      this.#report(`there is a dead letter of ${key}, which no message should have, or a second one`)
      return
    }
    this.#open.delete(key)
    this.#moving.delete(open.index)
    const message = drawMessage(this.#run, open.index, open.nowMs)
    this.#count(`dead ${letter.headers.get('Millrace-Dead-Reason')?.[0]}`)
    const expected = this.recordsLost ? withCrashes(open.expected) : open.expected
    for (const wrong of compareLetter(message, expected, letter)) this.#find(message, wrong)
  }

  /** By number, not by name: the id that the log has may be of the publisher's making. */
  #takeLeak(): boolean {
    if (this.#leaksTaken >= this.leaksTold) return false
    this.#leaksTaken += 1
    return true
  }

  /** Everything that does not move is settled: what has no dead letter has completed. */
  settle(everything: boolean): void {
    for (const [key, open] of this.#open) {
      if (open.moves && !everything) continue
      if (open.expected.place === 'stray' && key.startsWith('JOBS_DEAD')) continue
      this.#open.delete(key)
      this.#moving.delete(open.index)
      if (open.expected.place === 'stray') continue
      this.#count('completed')
      if (open.expected.completes) continue
      const message = drawMessage(this.#run, open.index, open.nowMs)
      const [death] = open.expected.dead
      if (death?.code === 'unhandled_rejection' && this.#takeLeak()) continue
      this.#find(message, `it left no dead letter; expected was ${death?.reason}/${death?.code}`)
    }
  }

  /** Which message is at this place of a stream, for a finding. */
  describe(place: string): string {
    const open = this.#open.get(place)
    return open ? describe(drawMessage(this.#run, open.index, open.nowMs)) : `an unknown message at ${place}`
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  #find(message: FuzzMessage, wrong: string): void {
    this.#report(wrong, describe(message))
  }
}

function withCrashes(expected: Expectation): Expectation {
  const dead = expected.dead.map((death) => ({ ...death, attempts: undefined }))
  if (!dead.some(({ reason }) => reason === 'exhausted')) return { ...expected, dead }
  return { ...expected, dead: [...dead, { reason: 'crashed', code: 'process_crash', attempts: undefined }] }
}

function describe({ index, subject, payload, headers }: FuzzMessage): string {
  const said = headers.kinds.join('+') || 'none'
  return `message ${index} on ${subject.slice(0, 60)}, payload ${payload.kind} of ${payload.body.length} bytes, headers ${said}`
}
