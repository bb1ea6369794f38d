/**
 * The known name that takes the fewest edits to reach, or `null` when none is near enough to be meant.
 * A word left out (`MILLRACE_PORT` for `MILLRACE_HTTP_PORT`) counts as one edit.
 */
export function nearestName(name: string, known: Iterable<string>): string | null {
  const rest = name.replace(/^MILLRACE_/, '')
  let nearest: string | null = null
  let fewest = Math.max(2, Math.floor(rest.length / 2)) + 1
  for (const candidate of known) {
    const edits = candidate.endsWith(`_${rest}`) ? 1 : editDistance(name, candidate)
    if (edits < fewest) {
      nearest = candidate
      fewest = edits
    }
  }
  return nearest
}

/** Levenshtein's distance: how many letters to insert, delete or replace. */
export function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const replace = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1)
      current.push(Math.min(replace, previous[column]! + 1, current[column - 1]! + 1))
    }
    previous = current
  }
  return previous[to.length]!
}
