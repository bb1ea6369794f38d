import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AckPolicy, jetstream, jetstreamManager, RetentionPolicy } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import { connect, type NatsConnection, nanos } from '@nats-io/transport-node'
import { readAckSubject } from '#src/nats/delivery.js'
import { ManualClock } from '#src/testing/manual-clock.js'
import { MemoryBroker } from '#src/testing/memory-broker.js'
import { connectedAgain } from '../support/jetstream-view.ts'
import { startTestServer } from '../support/nats-server.ts'
import type { RuledBroker, RuledDelivery } from './broker-rules.ts'

/** Long enough for a busy machine to be on time within a quarter of it. */
const ackWaitMs = 2_000
const windowMs = 500

/** The memory broker; waiting for it takes no time. */
export function memoryRuledBroker(): RuledBroker {
  const clock = new ManualClock()
  const broker = new MemoryBroker(clock, { ackWaitMs, duplicateWindowMs: windowMs })
  return {
    ackWaitMs,
    enqueue: async () => broker.enqueue('a'),
    async next(withinMs) {
      if (!broker.hasNext('a')) {
        const waitMs = broker.nextAt - clock.monotonicMs()
        if (waitMs > withinMs) {
          await clock.pass(withinMs)
          return undefined
        }
        await clock.pass(waitMs)
      }
      return broker.next('a')
    },
    answer: async ({ reply }, answer) => broker.settle(reply, answer),
    jobs: async () => broker.jobs,
    pass: (durationMs) => clock.pass(durationMs),
    publishRecord: async (id) => broker.dead.publish(id),
    get: async (key) => broker.attempts.get(key),
    put: async (key, value) => broker.attempts.put(key, value),
    update: async (key, value, revision) => broker.attempts.update(key, value, revision),
    purge: async (key) => broker.attempts.purge(key),
    kill: async () => broker.kill(),
  }
}

/** A nats-server of the test's own, with a plain client: what it does is what the memory broker has to do. */
export async function serverRuledBroker(t: TestContext): Promise<RuledBroker> {
  const server = await startTestServer(t)
  const options = { servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 }
  const nc = await connect(options)
  t.after(() => nc.close())
  const jsm = await jetstreamManager(nc, { checkAPI: false })
  await jsm.streams.add({ name: 'JOBS', subjects: ['jobs.>'], retention: RetentionPolicy.Workqueue })
  await jsm.consumers.add('JOBS', {
    durable_name: 'a',
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ackWaitMs),
    max_deliver: -1,
  })
  await jsm.streams.add({
    name: 'JOBS_DEAD',
    subjects: ['dead.jobs.>'],
    duplicate_window: nanos(windowMs),
  })
  const js = jetstream(nc)
  const bucket = await new Kvm(nc).create('jobs_attempts')
  return {
    ackWaitMs,
    enqueue: async () => (await js.publish('jobs.a')).seq,
    next: (withinMs) => pull(nc, withinMs),
    answer: async ({ reply }, answer) => {
      await nc.request(reply, answer, { timeout: 10_000 })
    },
    jobs: async () => (await jsm.streams.info('JOBS')).state.messages,
    pass: (durationMs) => sleep(durationMs),
    publishRecord: async (msgID) => {
      const { seq, duplicate } = await js.publish('dead.jobs.a', '', { msgID })
      return { sequence: seq, duplicate }
    },
    get: async (key) => {
      const entry = await bucket.get(key)
      return entry?.operation === 'PUT' ? { value: entry.string(), revision: entry.revision } : undefined
    },
    put: (key, value) => bucket.put(key, value),
    update: (key, value, revision) => swap(bucket, key, value, revision),
    purge: async (key) => {
      await jsm.streams.purge('KV_jobs_attempts', { filter: `$KV.jobs_attempts.${key}` })
    },
    kill: async () => {
      const isBack = connectedAgain(nc)
      server.kill('SIGKILL')
      await server.ended()
      await server.restart()
      await isBack
    },
  }
}

/** One job; the inbox is the pull's own, so nothing of an earlier one can be taken for its answer. */
async function pull(nc: NatsConnection, withinMs: number): Promise<RuledDelivery | undefined> {
  const inbox = nc.subscribe(`_INBOX.rules.${Math.random().toString(36).slice(2)}`, {
    max: 1,
    timeout: withinMs + 5_000,
  })
  const order = JSON.stringify({ batch: 1, expires: nanos(withinMs) })
  nc.publish('$JS.API.CONSUMER.MSG.NEXT.JOBS.a', order, { reply: inbox.getSubject() })
  for await (const message of inbox) {
    const ack = message.reply ? readAckSubject(message.reply) : undefined
    if (!ack) return undefined
    return { sequence: ack.sequence, deliveries: ack.deliveries, reply: message.reply! }
  }
  return undefined
}

async function swap(bucket: KV, key: string, value: string, revision: number): Promise<number | undefined> {
  const wrongLastSequence = 10071
  try {
    return await (revision === 0 ? bucket.create(key, value) : bucket.update(key, value, revision))
  } catch (error) {
    if ((error as { code?: number }).code === wrongLastSequence) return undefined
    throw error
  }
}
