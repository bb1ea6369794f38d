import type { JetStreamManager } from '@nats-io/jetstream'

/** With more records than this nobody asks which they are: many supervisors may do so at once after an outage. */
const mostRecords = 20_000

/**
 * Which jobs had a record of their attempts when the connection was made. A broker that was killed may have
 * forgotten how often it has delivered a job, which then looks as if it were new; this is how it is told from one
 * that is, at no cost for each.
 */
export class KnownRecords {
  readonly #jsm: JetStreamManager
  readonly #bucket: string
  /** By stream; undefined while the broker is being asked. */
  #sequences: Map<string, Set<number>> | undefined
  #looks = 0

  constructor(jsm: JetStreamManager, bucket: string) {
    this.#jsm = jsm
    this.#bucket = bucket
  }

  /** True as well while that is not known yet. */
  mayHave(stream: string, sequence: number): boolean {
    return this.#sequences === undefined || (this.#sequences.get(stream)?.has(sequence) ?? false)
  }

  /** Asks anew, on a new connection. When the broker does not say, none is known. */
  async look(): Promise<void> {
    this.#looks += 1
    const look = this.#looks
    this.#sequences = undefined
    const found = await this.#read().catch(() => new Map<string, Set<number>>())
    if (look === this.#looks) this.#sequences = found
  }

  async #read(): Promise<Map<string, Set<number>>> {
    const found = new Map<string, Set<number>>()
    const stream = `KV_${this.#bucket}`
    const { state } = await this.#jsm.streams.info(stream)
    const count = state.num_subjects ?? 0
    if (count === 0 || count > mostRecords) return found
    const prefix = `$KV.${this.#bucket}.`
    const { state: of } = await this.#jsm.streams.info(stream, { subjects_filter: `${prefix}*.*` })
    for (const subject of Object.keys(of.subjects ?? {})) {
      const [jobStream, sequence] = subject.slice(prefix.length).split('.') as [string, string]
      const sequences = found.get(jobStream) ?? new Set()
      found.set(jobStream, sequences.add(Number(sequence)))
    }
    return found
  }
}
