import { setTimeout as wait } from 'node:timers/promises'
import { BenchError } from '../bench-error.ts'
import { type Sample, sumOf } from '../contestants/metrics.ts'
import { type Records, readRecords } from '../measure/records.ts'
import { jobStream, type Stage } from './stage.ts'

/** What does not get on for so long has ended. */
const settledMs = 5_000

/**
 * Makes sure from the server's side that all jobs of a handler were delivered and acked.
 *
 * @param deliveries - how many deliveries that took. @default one for each job
 * @throws {BenchError} when one was delivered again, is left, or waits for its ack.
 */
export async function checkDrained(
  stage: Stage,
  handler: string,
  jobs: number,
  deliveries = jobs,
): Promise<void> {
  let movedAt = Date.now()
  let lastSum = -1
  for (;;) {
    const { delivered, ack_floor, num_pending, num_ack_pending, num_redelivered } =
      await stage.streams.consumers.info(jobStream, handler)
    const isDone =
      delivered.consumer_seq === deliveries &&
      ack_floor.consumer_seq === deliveries &&
      num_pending + num_ack_pending + num_redelivered === 0
    if (isDone) return
    const sum = delivered.consumer_seq + ack_floor.consumer_seq
    if (sum !== lastSum) movedAt = Date.now()
    lastSum = sum
    if (delivered.consumer_seq > deliveries || Date.now() - movedAt > settledMs) {
      throw new BenchError(
        `of ${jobs} jobs there were ${delivered.consumer_seq} deliveries, ${ack_floor.consumer_seq} acks in a row, ` +
          `${num_redelivered} redelivered, ${num_pending} left and ${num_ack_pending} not acked`,
      )
    }
    await wait(20)
  }
}

/**
 * Makes sure that supervisors counted one completed attempt and one ack for each job, and no other.
 *
 * @param failures - attempts before it that failed and were tried again, of all jobs together. @default 0
 * @throws {BenchError} with the count that is wrong.
 */
export function checkCounters(samples: readonly Sample[], handler: string, jobs: number, failures = 0): void {
  const attempts = (labels = {}) => sumOf(samples, 'millrace_attempts_total', { handler, ...labels })
  const settled = (labels = {}) => sumOf(samples, 'millrace_jobs_settled_total', { handler, ...labels })
  const counts: [string, number, number][] = [
    ['completed attempts', attempts({ outcome: 'completed' }), jobs],
    ['attempts', attempts(), jobs + failures],
    ['acks', settled({ verdict: 'ack' }), jobs],
    ['settlements', settled(), jobs + failures],
  ]
  for (const [name, count, expected] of counts) {
    if (count !== expected)
      throw new BenchError(`the supervisor counts ${count} ${name} of ${handler}, not ${expected}`)
  }
}

/**
 * Waits for the records of all threads, until they have one run of each job.
 *
 * @param runs - of each job. @default 1
 * @throws {BenchError} when a job ran less often, or more often.
 */
export async function collectRecords(dir: string, handler: string, jobs: number, runs = 1): Promise<Records> {
  const giveUpAt = Date.now() + settledMs
  for (;;) {
    const records = readRecords(dir, handler, jobs)
    const missing = records.runs.reduce((count, value) => count + (value < runs ? 1 : 0), 0)
    const doubled = records.runs.reduce((count, value) => count + (value > runs ? 1 : 0), 0)
    if (doubled > 0) throw new BenchError(`of ${jobs} jobs ${doubled} ran more often than ${runs}×`)
    if (missing === 0) return records
    if (Date.now() > giveUpAt) throw new BenchError(`of ${jobs} jobs ${missing} never ran, or not ${runs}×`)
    await wait(50)
  }
}
