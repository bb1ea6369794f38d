import { MillraceError } from '../core/errors.ts'

type Next<T> = IteratorResult<T, unknown>

/**
 * Takes from anything that can be iterated: at once from what is there at once, and with a way out of the waiting
 * from what is not.
 */
export class Taker<T> {
  readonly #iterator: Iterator<T, unknown> | AsyncIterator<T, unknown>
  #interrupt: (() => void) | undefined

  /** @throws {MillraceError} `invalid_job` when it cannot be iterated. */
  constructor(source: Iterable<T> | AsyncIterable<T>) {
    const { [Symbol.asyncIterator]: later, [Symbol.iterator]: atOnce } = Object(source) as Partial<
      AsyncIterable<T> & Iterable<T>
    >
    const iterate = (later ?? atOnce) as (() => Iterator<T> | AsyncIterator<T>) | undefined
    if (typeof source === 'string' || !iterate)
      throw new MillraceError(
        'invalid_job',
        'jobs must be something to iterate over, such as an array or a generator',
      )
    this.#iterator = iterate.call(source)
  }

  next(): Next<T> | Promise<Next<T>> {
    const next = this.#iterator.next()
    return 'then' in next ? this.#orInterrupted(next) : next
  }

  /** Ends a wait for the next one, as if there was none; it is not lost on anybody but the source. */
  interrupt(): void {
    this.#interrupt?.()
  }

  /** Tells the source that no more is wanted. A generator may hear of it only after what it waits for. */
  leave(): void {
    try {
      const left = this.#iterator.return?.()
      if (left && 'then' in left) left.then(undefined, () => {})
    } catch {
      // Whoever stops has a reason of his own to report.
    }
  }

  /** `Promise.race` would keep something for each job in the promise that all races have in common. */
  #orInterrupted(next: Promise<Next<T>>): Promise<Next<T>> {
    return new Promise((resolve, reject) => {
      this.#interrupt = () => resolve({ done: false, value: undefined as T })
      next.then(resolve, reject)
    })
  }
}
