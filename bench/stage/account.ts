import { setTimeout as wait } from 'node:timers/promises'
import { BenchError } from '../bench-error.ts'
import { type Sample, sumOf } from '../contestants/metrics.ts'
import { readRecords } from '../measure/records.ts'
import { jobStream, type Stage } from './stage.ts'

const settledMs = 5_000

/**
 * Makes sure from the server's side that all jobs of a handler were delivered once and acked.
 *
 * @throws {BenchError} when one was delivered again, is left, or waits for its ack.
 */
export async function checkDrained(stage: Stage, handler: string, jobs: number): Promise<void> {
  const giveUpAt = Date.now() + settledMs
  for (;;) {
    const { delivered, ack_floor, num_pending, num_ack_pending, num_redelivered } =
      await stage.streams.consumers.info(jobStream, handler)
    const isDone =
      delivered.consumer_seq === jobs &&
      ack_floor.consumer_seq === jobs &&
      num_pending + num_ack_pending + num_redelivered === 0
    if (isDone) return
    if (delivered.consumer_seq > jobs || Date.now() > giveUpAt) {
      throw new BenchError(
        `of ${jobs} jobs there were ${delivered.consumer_seq} deliveries, ${ack_floor.consumer_seq} acks in a row, ` +
          `${num_redelivered} redelivered, ${num_pending} left and ${num_ack_pending} not acked`,
      )
    }
    await wait(20)
  }
}

/**
 * Makes sure that a supervisor counted one completed attempt and one ack for each job, and no other.
 *
 * @throws {BenchError} with the count that is wrong.
 */
export function checkCounters(samples: readonly Sample[], handler: string, jobs: number): void {
  const counts = {
    'completed attempts': sumOf(samples, 'millrace_attempts_total', { handler, outcome: 'completed' }),
    attempts: sumOf(samples, 'millrace_attempts_total', { handler }),
    acks: sumOf(samples, 'millrace_jobs_settled_total', { handler, verdict: 'ack' }),
    settlements: sumOf(samples, 'millrace_jobs_settled_total', { handler }),
  }
  for (const [name, count] of Object.entries(counts)) {
    if (count !== jobs)
      throw new BenchError(`the supervisor counts ${count} ${name} of ${handler}, not ${jobs}`)
  }
}

/**
 * Waits for the records of all threads and answers their sums, one for each job.
 *
 * @throws {BenchError} when a job has no record.
 */
export async function collectRecords(dir: string, jobs: number): Promise<Float64Array> {
  const giveUpAt = Date.now() + settledMs
  for (;;) {
    const records = readRecords(dir, jobs)
    const missing = records.reduce((count, value) => count + (value === 0 ? 1 : 0), 0)
    if (missing === 0) return records
    if (Date.now() > giveUpAt) throw new BenchError(`of ${jobs} jobs ${missing} never ran`)
    await wait(50)
  }
}
