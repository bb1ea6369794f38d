/** The middle of several runs, and how far apart they were. */
export type Spread = { readonly median: number; readonly min: number; readonly max: number }

/** Summarises runs; those without a number are left out. */
export function spreadOf(values: readonly number[]): Spread {
  const known = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b)
  if (known.length === 0) return { median: Number.NaN, min: Number.NaN, max: Number.NaN }
  const half = known.length >> 1
  const median = known.length % 2 === 1 ? known[half]! : (known[half - 1]! + known[half]!) / 2
  return { median, min: known[0]!, max: known.at(-1)! }
}

/** By how much `y` grows when `x` grows by one: the slope of the line that fits best (least squares). */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const meanOf = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length
  const [meanX, meanY] = [meanOf(0), meanOf(1)]
  const together = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0)
  return together / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
}

/** The value that `share` of all values do not exceed (nearest rank). */
export function percentile(values: ArrayLike<number> & Iterable<number>, share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
