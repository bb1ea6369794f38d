import { machineMs } from './evidence.ts'

const lookMs = 100
/** With a quarter of an ack wait less, leases and acks come too late. */
const longMs = 500

/** When this process stood still, and with it everything that passes through it. Instants are `machineMs`. */
export class Stillness {
  readonly found: { from: number; to: number }[] = []
  readonly #timer: NodeJS.Timeout
  #lookedAt = machineMs()

  constructor() {
    this.#timer = setInterval(() => {
      const now = machineMs()
      if (now - this.#lookedAt > longMs) this.found.push({ from: this.#lookedAt, to: now })
      this.#lookedAt = now
    }, lookMs)
  }

  end(): void {
    clearInterval(this.#timer)
  }
}
