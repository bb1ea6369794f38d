/**
 * The known name that takes the fewest edits to reach, or `null` when none is near enough to be meant.
 * A word left out (`MILLRACE_PORT` for `MILLRACE_HTTP_PORT`) counts as one edit.
 */
export function nearestName(name: string, known: Iterable<string>): string | null {
  const rest = name.replace(/^MILLRACE_/, '')
  let nearest: string | null = null
  // Of a single letter everything short would be near.
  let fewest = Math.min(Math.max(2, Math.floor(rest.length / 2)), rest.length - 1) + 1
  for (const candidate of known) {
    const edits = candidate.endsWith(`_${rest}`) ? 1 : editDistance(name, candidate)
    if (edits < fewest) {
      nearest = candidate
      fewest = edits
    }
  }
  return nearest
}

/**
 * How many letters to insert, delete or replace, or neighbours to swap, which is what fingers do most.
 * Source: "optimal string alignment", the restricted distance of Damerau and Levenshtein.
 */
export function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const replace = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1)
      const edits = Math.min(replace, previous[column]! + 1, current[column - 1]! + 1)
      const isSwap = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      const canSwap = row > 1 && column > 1 && isSwap
      current.push(canSwap ? Math.min(edits, beforePrevious[column - 2]! + 1) : edits)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[to.length]!
}
