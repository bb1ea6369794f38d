import type { JetStreamManager } from '@nats-io/jetstream'
import type { DeadLetter, JetStreamView } from '../support/jetstream-view.ts'
import { machineMs } from './evidence.ts'

/** What fills the stream of dead letters up is none. */
export const deadFilling = 'dead.jobs.filling'

/** A dead letter, and which stream of that name it was stored in: when that was made. */
export interface CollectedLetter extends DeadLetter {
  readonly storedIn: string
  /** As `machineMs`; the clock of the server is this machine's. */
  readonly storedAt: number
}

/** The dead letters of a round, read as they come; those of a stream that was deleted since are kept. */
export class CollectedLetters {
  readonly all: CollectedLetter[] = []
  readonly ids = new Set<string>()
  readonly #view: JetStreamView
  readonly #jsm: JetStreamManager
  readonly #places = new Set<string>()
  #createdAt = ''
  #next = 1
  #reading: Promise<void> = Promise.resolve()

  constructor(view: JetStreamView) {
    this.#view = view
    this.#jsm = view.jsm
  }

  /** Reads what is new; several may ask at once. */
  read(): Promise<void> {
    const reading = this.#reading.catch(() => {}).then(() => this.#read())
    this.#reading = reading
    return reading
  }

  async #read(): Promise<void> {
    const { created, state } = await this.#jsm.streams.info(this.#view.deadStream)
    if (created !== this.#createdAt) {
      this.#createdAt = created
      this.#next = 1
    }
    if (state.messages === 0) return
    for (let seq = Math.max(this.#next, state.first_seq); seq <= state.last_seq; seq += 1) {
      const letter = await this.#view.deadLetterAt(seq)
      const place = `${created} ${seq}`
      // A stream that was deleted may be there again for a while after the server was killed.
      if (letter && letter.subject !== deadFilling && !this.#places.has(place)) {
        this.#places.add(place)
        const storedAt = machineMs() - (Date.now() - letter.storedAtMs)
        this.all.push({ ...letter, storedIn: created, storedAt })
        this.ids.add(letter.jobId)
      }
      this.#next = seq + 1
    }
  }
}
