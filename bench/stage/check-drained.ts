import { setTimeout as wait } from 'node:timers/promises'
import { BenchError } from '../bench-error.ts'
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
