import type { StartedJob } from './lanes-port.ts'

/**
 * What an attempt past its deadline had to do with the kill of its thread: it is charged, it was starved
 * by another, or it is one of several that could have starved the rest.
 */
export type PartInKill = 'charged' | 'starved' | 'suspect'

/**
 * Tells the attempts that are past their deadline by their own doing from those that a neighbour kept
 * from going on.
 *
 * An attempt that its abort signal reached had its chance, and is charged. When the signal did not reach
 * several, the thread was blocked by the code of one of them, and the rest were starved. The blocker is
 * known when it never left its first synchronous code, or when it alone was a suspect already. Else all
 * of them are suspects: each runs again beside no other, and a next kill tells. So whoever blocks the
 * thread, each of them starts again uncharged at most once before something is charged.
 *
 * @param overdue - every attempt of the killed thread that was past its deadline.
 */
export function partInKill(attempt: StartedJob, overdue: readonly StartedJob[]): PartInKill {
  if (attempt.signalled) return 'charged'
  const unreached = overdue.filter((each) => !each.signalled)
  if (unreached.length === 1) return 'charged'
  const suspects = unreached.filter(({ job }) => job.suspect)
  const blocker = unreached.find((each) => each.inside) ?? (suspects.length === 1 ? suspects[0] : undefined)
  if (!blocker) return 'suspect'
  return blocker === attempt ? 'charged' : 'starved'
}
