import type { JetStreamBroker } from '../nats/jetstream-broker.ts'
import type { Metrics } from '../telemetry/metrics.ts'

/** Numbers younger than this are not asked for again. */
const freshMs = 2_000
/** A scrape does not wait longer than this for newer ones. */
const patienceMs = 1_000

/**
 * Asks the broker how much waits when somebody scrapes, and not more often than every 2 s: nobody
 * looking costs nothing, and what is looked at is never old.
 */
export class DepthPoll {
  readonly #broker: JetStreamBroker
  readonly #metrics: Metrics
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined

  constructor(broker: JetStreamBroker, metrics: Metrics) {
    this.#broker = broker
    this.#metrics = metrics
  }

  async refresh(): Promise<void> {
    if (performance.now() - this.#readAt < freshMs || !this.#broker.connected) return
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, patienceMs)
    })
    await Promise.race([this.#reading, patience])
    clearTimeout(timer)
  }

  async #read(): Promise<void> {
    try {
      this.#metrics.depth = await this.#broker.readDepth()
      this.#readAt = performance.now()
    } catch {
      // The last numbers stay; readiness tells what is wrong with the broker.
    }
  }
}
