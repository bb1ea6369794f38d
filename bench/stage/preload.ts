import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'

/** How many jobs one confirmation stands for. */
const batchSize = 500
/** How many batches may be on their way. */
const batchesAhead = 4

/** A JSON payload of exactly `bytes` bytes that says which job it is. */
export function numberedPayload(n: number, bytes: number): string {
  const head = `{"n":${n},"pad":"`
  return `${head}${'x'.repeat(bytes - head.length - 2)}"}`
}

/**
 * Puts `count` jobs, numbered from `first`, into the stream and resolves when the server has stored them.
 * The server confirms the last of each batch only; it stores in order, so that stands for the rest.
 *
 * @param headersOf - the headers of a job, for jobs that have any.
 */
export async function preload(
  connection: NatsConnection,
  subject: string,
  count: number,
  payloadBytes: number,
  headersOf?: (n: number) => MsgHdrs,
  first = 0,
): Promise<void> {
  const optionsOf = (n: number) => (headersOf ? { headers: headersOf(n) } : {})
  const confirmations: Promise<unknown>[] = []
  for (let n = first; n < first + count; ) {
    const last = Math.min(first + count, n + batchSize) - 1
    for (; n < last; n += 1) connection.publish(subject, numberedPayload(n, payloadBytes), optionsOf(n))
    confirmations.push(
      connection.request(subject, numberedPayload(n, payloadBytes), { timeout: 20_000, ...optionsOf(n) }),
    )
    n += 1
    if (confirmations.length >= batchesAhead) await confirmations.shift()
  }
  await Promise.all(confirmations)
}
