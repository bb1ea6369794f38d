import type { HandlerQueue } from '../client/queues.ts'

/** A rate is that of the last so many samples: fewer jump, more lag. */
const windowSamples = 5
/** As many as a graph may have columns. */
const historySamples = 120

type Counted = Pick<HandlerQueue, 'handler' | 'delivered' | 'ackPending'>

/** How many attempts have ended until a sample, less a number that is always the same. */
interface Sample {
  readonly atMs: number
  readonly ended: ReadonlyMap<string, number>
}

/**
 * How many attempts end in a second, by handler, from how many deliveries there were and how many are not settled.
 * An attempt that failed counts when the next one is delivered, because until then its delivery is not settled.
 */
export class TopRates {
  readonly #samples: Sample[] = []
  readonly #history: number[] = []

  /** Takes what the broker has said at some instant, which is later than the last. */
  add(atMs: number, queues: readonly Counted[]): void {
    const ended = new Map(
      queues.flatMap(({ handler, delivered, ackPending }) =>
        delivered === undefined ? [] : [[handler, delivered - ackPending] as const],
      ),
    )
    const last = this.#samples.at(-1)
    if (last && atMs > last.atMs) this.#history.push(sum(rates(last, { atMs, ended }).values()))
    this.#samples.push({ atMs, ended })
    if (this.#samples.length > windowSamples) this.#samples.shift()
    if (this.#history.length > historySamples) this.#history.shift()
  }

  /** By handler; undefined before there are two samples of it. */
  rateOf(handler: string): number | undefined {
    const last = this.#samples.at(-1)
    const first = this.#samples.find(({ ended }) => ended.has(handler))
    if (!last || !first || last === first) return undefined
    return rates(first, last).get(handler)
  }

  /** Of all handlers, for every second so far, the newest last. */
  get history(): readonly number[] {
    return this.#history
  }
}

function rates(first: Sample, last: Sample): Map<string, number> {
  const seconds = (last.atMs - first.atMs) / 1_000
  return new Map(
    [...last.ended].flatMap(([handler, ended]) => {
      const before = first.ended.get(handler)
      // Fewer than before: the consumer is another one.
      return before === undefined ? [] : [[handler, Math.max(0, ended - before) / seconds] as const]
    }),
  )
}

function sum(values: Iterable<number>): number {
  let all = 0
  for (const value of values) all += value
  return all
}
