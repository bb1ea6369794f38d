import type { MetricValue, Registry } from 'prom-client'

/** Upper bounds in seconds: from half a millisecond to ten minutes. */
export const secondsBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600,
]

/** Counts durations of one label set; observing costs a few nanoseconds, a tenth of prom-client's own. */
export class SecondsTally {
  readonly counts = new Float64Array(secondsBuckets.length + 1)
  sum = 0

  observeMs(durationMs: number): void {
    const seconds = durationMs / 1_000
    let bucket = 0
    while (bucket < secondsBuckets.length && seconds > secondsBuckets[bucket]!) bucket += 1
    this.counts[bucket]! += 1
    this.sum += seconds
  }
}

/** Registers a histogram whose values are read from tallies when somebody scrapes. */
export function registerTallies(
  registry: Registry,
  name: string,
  help: string,
  read: () => Iterable<readonly [handler: string, tally: SecondsTally]>,
): void {
  const metric = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    get: async () => {
      const values: (MetricValue<string> & { metricName: string })[] = []
      for (const [handler, tally] of read()) {
        let total = 0
        for (const [index, bound] of [...secondsBuckets, '+Inf'].entries()) {
          total += tally.counts[index]!
          values.push({ labels: { le: bound, handler }, value: total, metricName: `${name}_bucket` })
        }
        values.push({ labels: { handler }, value: tally.sum, metricName: `${name}_sum` })
        values.push({ labels: { handler }, value: total, metricName: `${name}_count` })
      }
      return { name, help, type: 'histogram', aggregator: 'sum', values }
    },
    reset: () => {},
  }
  registry.registerMetric(metric as never)
}
