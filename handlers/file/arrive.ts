/**
 * `file.arrive` waits, without holding a thread, until a file is there and complete.
 *
 *     nats pub jobs.file.arrive '{"path":"/data/incoming/orders.csv","waitMs":3600000}'
 *
 * While the file is missing, empty or still being written (changed within the last five seconds), the
 * job snoozes: it goes back to the broker, comes back later, and no attempt is counted. `waitMs`
 * counts from the enqueue; after it the job becomes a dead letter, because a handler that always
 * snoozes never ends.
 *
 * When you copy it: do your work where "file arrived" is logged, or publish the job that does, with
 * a `Nats-Msg-Id` made from this job's id so that a second run does not enqueue it twice.
 */
import { stat } from 'node:fs/promises'
import { defineHandler, PermanentFailure, Snooze } from 'millrace'
import * as v from 'valibot'

const lookAgainMs = 5_000
const settledMs = 5_000

const schema = v.object({
  path: v.pipe(v.string(), v.minLength(1)),
  waitMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 3_600_000),
})

export default defineHandler({
  schema,
  pool: 'io',
  deadlineMs: 5_000,
  async run({ path, waitMs }, ctx) {
    const sizeBytes = await findComplete(path, Date.now())
    if (sizeBytes !== undefined) {
      ctx.logger.info({ path, sizeBytes }, 'file arrived')
      return
    }
    const leftMs = ctx.job.enqueuedAt.getTime() + waitMs - Date.now()
    if (leftMs <= 0) throw new PermanentFailure(`${path} did not arrive within ${waitMs} ms`)
    throw new Snooze({ delayMs: Math.min(leftMs, lookAgainMs) })
  },
})

async function findComplete(path: string, nowMs: number): Promise<number | undefined> {
  try {
    const found = await stat(path)
    return found.size > 0 && nowMs - found.mtimeMs >= settledMs ? found.size : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
