/** Offsets from UTC change at multiples of this at the earliest. */
const stepMs = 15 * 60_000
const remembered = 1_000
/** What a change moves the clocks by is less, and no two changes are so near. */
const nearMs = 3 * 3_600_000
const halfDayMs = 12 * 3_600_000

/**
 * The clocks of a time zone. What they show is written as the instant at which clocks in UTC show the same;
 * their offset is how far they are ahead of UTC.
 */
export class ZoneClock {
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
  offsetAt(instant: number): number {
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
      let high = Math.min(to, low + halfDayMs)
      if (this.offsetAt(high) === offset) {
        low = high
        continue
      }
      while (high - low > 1) {
        const middle = Math.floor((low + high) / 2)
        if (this.offsetAt(middle) === offset) low = middle
        else high = middle
      }
      return high
    }
    return undefined
  }

  /** The offset some hours before and after; the same unless the clocks change in between. */
  offsetsAround(instant: number): readonly [before: number, after: number] {
    return [this.offsetAt(instant - nearMs), this.offsetAt(instant + nearMs)]
  }

  /**
   * The instant at which the clocks show this. A time that they leave out is taken as if they had not
   * changed yet; of a time that they repeat, the first is meant.
   */
  instantOf(shown: number): number {
    const about = shown - this.offsetAt(shown - this.offsetAt(shown))
    const [before, after] = this.offsetsAround(about)
    if (before === after) return shown - after
    const change = this.firstChange(about - nearMs, about + nearMs, before)!
    return shown < change + Math.max(before, after) ? shown - before : shown - after
  }

  #read(instant: number): number {
    const part: Record<string, number> = {}
    for (const { type, value } of this.#format.formatToParts(instant)) part[type] = Number(value)
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = part
    return Date.UTC(year, month - 1, day, hour, minute, second) - instant
  }
}
