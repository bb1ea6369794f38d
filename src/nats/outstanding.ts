import type { JetStreamManager } from '@nats-io/jetstream'
import { consumerName, type Names, priorities } from '../core/names.ts'
import type { Outstanding } from '../engine/broker-port.ts'
import { readConsumer } from './ensure.ts'
import type { Puller } from './puller.ts'

/** Asks the consumers of every priority how much of a handler is handed out, and who else pulls it. */
export async function readOutstanding(
  jsm: JetStreamManager,
  names: Names,
  puller: Puller,
  handler: string,
): Promise<Outstanding> {
  let deliveries = 0
  let otherPulls = 0
  for (const priority of priorities) {
    const openBefore = puller.openPulls(handler, priority)
    const consumer = await readConsumer(jsm, names.streamOf(priority), consumerName(handler))
    if (!consumer) continue
    const open = Math.min(openBefore, puller.openPulls(handler, priority))
    deliveries += consumer.num_ack_pending
    otherPulls += Math.max(0, consumer.num_waiting - open)
  }
  return { deliveries, otherPulls }
}
