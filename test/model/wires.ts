import type { Timers } from './model-clock.ts'

/** Something on its way between a process and the broker. */
export interface Wire {
  /** Rises with each, over all links. */
  readonly id: number
  readonly label: string
  /** Undefined for what is about none, or not about a certain one. */
  readonly sequence: number | undefined
  /** Of a delivery. */
  readonly reply?: string
  readonly kind:
    | 'settle'
    | 'record'
    | 'read'
    | 'letter'
    | 'forget'
    | 'barrier'
    | 'answer'
    | 'record answer'
    | 'delivery'
  readonly arrive: () => void
}

/** What is told of requests, and asked. */
export interface WireWatcher {
  nextId(): number
  /** A change of the record of a job has failed, as far as the process can tell. */
  recordFailed(sequence: number): void
}

/**
 * What is on its way on one process's connection, in order and in each direction, until the explorer lets it arrive
 * or loses it.
 */
export class Wires {
  connected = true
  readonly outgoing: Wire[] = []
  readonly incoming: Wire[] = []
  readonly #name: string
  readonly #clock: Timers
  readonly #watcher: WireWatcher
  readonly #barriers = new Set<(error: Error) => void>()
  readonly #counts = new Map<string, number>()

  constructor(name: string, clock: Timers, watcher: WireWatcher) {
    this.#name = name
    this.#clock = clock
    this.#watcher = watcher
  }

  /** Everything on its way is lost, and nothing more goes out. */
  cut(): void {
    this.connected = false
    this.outgoing.length = 0
    this.incoming.length = 0
  }

  /** Who waits for a round trip learns that the connection is gone. */
  rejectBarriers(): void {
    const barriers = [...this.#barriers]
    this.#barriers.clear()
    for (const reject of barriers) reject(new Error('the connection is gone'))
  }

  /** A round trip behind everything that was sent before. */
  barrier(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.connected) return reject(new Error('not connected'))
      this.#barriers.add(reject)
      const answer = (): void => {
        if (this.#barriers.delete(reject)) resolve()
      }
      this.#push(this.outgoing, 'barrier', 'barrier', undefined, () =>
        this.#push(this.incoming, 'barrier', 'answer to the barrier', undefined, answer),
      )
    })
  }

  /** The broker sends a job. */
  deliver(label: string, sequence: number, reply: string, arrive: () => void): void {
    this.#push(this.incoming, 'delivery', label, sequence, arrive, reply)
  }

  send(kind: Wire['kind'], label: string, sequence: number | undefined, arrive: () => void): void {
    // What is sent while there is no connection vanishes.
    if (this.connected) this.#push(this.outgoing, kind, label, sequence, arrive)
  }

  /** Resolves with what the broker answers; rejects when it refuses, or when nothing has come in time. */
  request<T>(
    kind: 'record' | 'read' | 'letter',
    label: string,
    sequence: number | undefined,
    limitMs: number,
    atBroker: () => T,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const cancel = this.#clock.after(limitMs, () => {
        if (kind === 'record' && sequence !== undefined) this.#watcher.recordFailed(sequence)
        reject(new Error(`no answer within ${limitMs} ms`))
      })
      const answer = (text: string, arrive: () => void): void =>
        this.#push(
          this.incoming,
          kind === 'record' ? 'record answer' : 'answer',
          `${text} to the ${label}`,
          sequence,
          () => {
            cancel()
            arrive()
          },
        )
      this.send(kind, label, sequence, () => {
        let result: T
        try {
          result = atBroker()
        } catch (error) {
          answer('refusal', () => reject(error as Error))
          return
        }
        answer('answer', () => resolve(result))
      })
    })
  }

  #push(
    queue: Wire[],
    kind: Wire['kind'],
    what: string,
    sequence: number | undefined,
    arrive: () => void,
    reply?: string,
  ): void {
    const count = (this.#counts.get(what) ?? 0) + 1
    this.#counts.set(what, count)
    const label = `${this.#name}: ${what}${count > 1 ? ` (${count})` : ''}`
    const id = this.#watcher.nextId()
    queue.push({ id, label, sequence, kind, arrive, ...(reply === undefined ? {} : { reply }) })
  }
}
