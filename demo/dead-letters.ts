import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'

/** What the demo shows of a dead letter. */
export type DeadLetter = { subject: string; reason: string; attempts: string; error: string }

/** Reads the dead-letter stream without consuming it. */
export async function readDeadLetters(connection: NatsConnection): Promise<DeadLetter[]> {
  const { state } = await (await jetstreamManager(connection)).streams.info('JOBS_DEAD')
  const letters: DeadLetter[] = []
  if (state.messages === 0) return letters
  const consumer = await jetstream(connection).consumers.get('JOBS_DEAD', {
    deliver_policy: DeliverPolicy.All,
  })
  for await (const message of await consumer.fetch({ max_messages: state.messages, expires: 2_000 })) {
    const header = (name: string) => message.headers?.get(name) ?? ''
    letters.push({
      subject: header('Millrace-Subject'),
      reason: header('Millrace-Dead-Reason'),
      attempts: header('Millrace-Attempts'),
      error: `${header('Millrace-Error-Code')}: ${header('Millrace-Error-Message')}`,
    })
  }
  return letters
}
