/**
 * Whether every subject that `wanted` matches is matched by `pattern`, too; both may have wildcards.
 * `$JS.API.>` covers `$JS.API.STREAM.INFO.JOBS` and `$JS.API.*.>`; `jobs.*` does not cover `jobs.>`.
 */
export function coversSubject(pattern: string, wanted: string): boolean {
  const has = pattern.split('.')
  const needs = wanted.split('.')
  for (const [index, token] of has.entries()) {
    const need = needs[index]
    if (need === undefined) return false
    if (token === '>') return true
    if (need === '>' || (token !== '*' && token !== need)) return false
  }
  return has.length === needs.length
}

/** Whether some subject is matched by both. */
export function subjectsMeet(one: string, other: string): boolean {
  const a = one.split('.')
  const b = other.split('.')
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const left = a[index]
    const right = b[index]
    if (left === undefined || right === undefined) return false
    if (left === '>' || right === '>') return true
    if (left !== '*' && right !== '*' && left !== right) return false
  }
  return true
}
