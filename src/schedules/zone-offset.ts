/** Offsets from UTC change at multiples of this at the earliest. */
const stepMs = 15 * 60_000
const remembered = 1_000

/** How far the clocks of a time zone are ahead of UTC. */
export class ZoneOffset {
  readonly #format: Intl.DateTimeFormat
  readonly #known = new Map<number, number>()

  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  }

  /** In milliseconds; below 0 in the west. */
  at(instant: number): number {
    const step = Math.floor(instant / stepMs)
    let offset = this.#known.get(step)
    if (offset === undefined) {
      offset = this.#read(step * stepMs)
      if (this.#known.size >= remembered) this.#known.clear()
      this.#known.set(step, offset)
    }
    return offset
  }

  /** The first instant in (`from`, `to`] at which the offset is not `offset`; undefined when there is none. */
  firstChange(from: number, to: number, offset: number): number | undefined {
    for (let low = from; low < to; ) {
      let high = Math.min(to, low + 12 * 3_600_000)
      if (this.at(high) === offset) {
        low = high
        continue
      }
      while (high - low > 1) {
        const middle = Math.floor((low + high) / 2)
        if (this.at(middle) === offset) low = middle
        else high = middle
      }
      return high
    }
    return undefined
  }

  #read(instant: number): number {
    const part: Record<string, number> = {}
    for (const { type, value } of this.#format.formatToParts(instant)) part[type] = Number(value)
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = part
    return Date.UTC(year, month - 1, day, hour, minute, second) - instant
  }
}
