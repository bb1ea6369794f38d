import type { SupervisorFigures } from './supervisor-figures.ts'

/** How many looks a quantile covers: a minute of them. */
const windowLooks = 60

type Durations = ReadonlyMap<number, number>

/** What some supervisors say, together. */
export class TopSupervisors {
  /** For each look, the durations of every handler, of all supervisors. */
  readonly #looks: ReadonlyMap<string, Durations>[] = []
  /** As they were at the last look. */
  latest: readonly SupervisorFigures[] = []

  /** Takes what all of them have said. */
  add(figures: readonly SupervisorFigures[]): void {
    this.latest = figures
    const all = new Map<string, Map<number, number>>()
    for (const { handlers } of figures)
      for (const [handler, { durations }] of handlers) {
        const sum = all.get(handler) ?? new Map<number, number>()
        all.set(handler, sum)
        for (const [bound, count] of durations) sum.set(bound, (sum.get(bound) ?? 0) + count)
      }
    this.#looks.push(all)
    if (this.#looks.length > windowLooks) this.#looks.shift()
  }

  /** Deliveries that supervisors hold. */
  inFlightOf(handler: string): number {
    return this.latest.reduce((sum, { handlers }) => sum + (handlers.get(handler)?.inFlight ?? 0), 0)
  }

  /** The seconds that 95 of 100 attempts of the last minute took no longer than; undefined without any. */
  p95Of(handler: string): number | undefined {
    const last = this.#looks.at(-1)?.get(handler)
    const first = this.#looks[0]?.get(handler)
    return last && quantileOf(0.95, first ? less(last, first) : last)
  }
}

/** One that has begun anew counts from 0. */
function less(last: Durations, first: Durations): Durations {
  const all = [...last].map(([bound, count]) => [bound, count - (first.get(bound) ?? 0)] as const)
  return all.some(([, count]) => count < 0) ? last : new Map(all)
}

/**
 * Within a bucket the values count as evenly spread, as in Prometheus; undefined for an empty histogram.
 *
 * @param counts - how many values are not above each bound.
 */
export function quantileOf(share: number, counts: Durations): number | undefined {
  const sorted = [...counts].sort(([one], [other]) => one - other)
  const rank = share * (sorted.at(-1)?.[1] ?? 0)
  if (rank === 0) return undefined
  const at = sorted.findIndex(([, count]) => count >= rank)
  const [bound, count] = sorted[at]!
  const [below, before] = sorted[at - 1] ?? [0, 0]
  // Above the last bound nothing more is known.
  return bound === Number.POSITIVE_INFINITY
    ? below
    : below + ((bound - below) * (rank - before)) / (count - before)
}
