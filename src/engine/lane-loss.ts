import type { StartedJob } from './lanes-port.ts'
import { partInKill } from './starvation.ts'

/** What becomes of a job that was running on a thread that is gone. */
export type Fate =
  /** It passed its deadline by its own doing: charged. */
  | 'timed_out'
  /** It was told of a cancel and did not stop in time: its job is given up on. */
  | 'cancelled'
  /** It ended the thread: charged. */
  | 'crashed'
  /** We are stopping, or its lease is lost: not charged, and not started again here. */
  | 'interrupted'
  /** It may have been the one: not charged, and started again beside no other suspect. */
  | 'suspect'
  /** It was merely there: not charged, and started again. */
  | 'again'

/**
 * Decides who is charged for the end of a thread, and who starts again.
 *
 * A kill at a deadline charges who passed it by its own doing. A thread that died by itself charges the
 * job that was alone on it, or the only suspect; when several could have done it, all of them are
 * suspects, and the next time tells.
 *
 * @param diedByItself - nobody told the thread to end, and no job is known to have ended it.
 */
export function judgeLaneLoss(
  started: readonly StartedJob[],
  diedByItself: boolean,
  draining: boolean,
): Map<StartedJob, Fate> {
  const overdue = started.filter(({ job }) => job.abortCode === 'deadline')
  const fates = new Map<StartedJob, Fate>()
  for (const each of started) {
    const part = overdue.includes(each) ? partInKill(each, overdue) : 'starved'
    if (each.job.abortCode === 'cancelled') fates.set(each, 'cancelled')
    else if (part === 'charged') fates.set(each, 'timed_out')
    else if (draining || each.job.leaseLost) fates.set(each, 'interrupted')
    else fates.set(each, part === 'suspect' ? 'suspect' : 'again')
  }
  if (!diedByItself) return fates
  // A stop is no excuse for who ends the thread by itself.
  const candidates = started.filter(
    (each) => fates.get(each) === 'again' || (fates.get(each) === 'interrupted' && !each.job.leaseLost),
  )
  // Whoever's record could not be read may be one as well.
  const suspects = candidates.filter(({ job }) => job.suspect || job.recordUnread)
  // A cancelled job may have done it as well; it is not run again, so it cannot tell another time.
  const isAlone = candidates.length === 1 && ![...fates.values()].includes('cancelled')
  const culprit = isAlone ? candidates[0] : suspects.length === 1 ? suspects[0] : undefined
  if (culprit) fates.set(culprit, 'crashed')
  else if (!draining) for (const each of candidates) fates.set(each, 'suspect')
  return fates
}
