import type { Strike } from './evidence.ts'

/** A supervisor's connection was lost, by what it logged. `at` is `machineMs`. */
export interface Disconnection {
  readonly pid: number
  readonly at: number
}

/** What was asked during a fault may go unanswered for so long after it, and whoever asked then leaves the server. */
const aftermathMs = 5_000
/** Pulls that were open there take deliveries until every server has heard of it. */
const openPullsMs = 1_000

/** Connections lost because of a fault that was healed by then: their deliveries are lost as on any link that is cut. */
export function aftermathOf(
  strikes: readonly Strike[],
  disconnections: readonly Disconnection[],
): (Strike & { readonly unmeant: true })[] {
  const mayCharge = strikes.filter(
    ({ powers }) => powers.includes('charge') || powers.includes('charge often'),
  )
  const isExplained = (at: number) => mayCharge.some(({ from, to }) => from <= at && at <= to)
  return disconnections
    .filter(({ at }) => !isExplained(at) && mayCharge.some(({ to }) => at > to && at - to < aftermathMs))
    .map(({ pid, at }) => ({
      fault: 'a connection was lost in the aftermath of a fault',
      powers: ['charge'],
      pids: [pid],
      from: at,
      to: at + openPullsMs,
      unmeant: true,
    }))
}
