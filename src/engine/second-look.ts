import { countAttempt, withPriorHistory } from '../core/attempt.ts'
import type { Broker } from './broker-port.ts'
import type { InFlightJob } from './in-flight-job.ts'

/**
 * Asks the broker what has become of a redelivered job since it arrived, because whoever had it before may have been
 * slow and not dead: it may have completed the job, or given up on it, or written down that its delivery did not
 * count; and when it comes back to us, somebody in between may have failed at it.
 *
 * Resolves to false when the job is not to be run here. What the broker does not answer is as it was.
 */
export async function lookAgain(job: InFlightJob, broker: Broker): Promise<boolean> {
  const [isThere, stored] = await Promise.all([
    broker.isStored(job.stream, job.sequence).catch(() => true),
    broker.readRecord(job.stream, job.sequence).catch(() => undefined),
  ])
  if (!isThere || stored?.dead) return false
  if (!stored || job.recordUnread) return true
  // What we know to be stored, our own mark among it, is in our record as well.
  const released = job.record.released + Math.max(0, stored.released - job.storedReleases)
  job.storedReleases = stored.released
  const failed = stored.failures > job.record.failures
  if (!failed && released === job.record.released) return true
  job.record = { ...(failed ? withPriorHistory(stored, job.priorHistory) : job.record), released }
  job.hasRecord = true
  job.attempt = job.priorAttempts + countAttempt(job.deliveries, job.record).attempt
  return true
}
