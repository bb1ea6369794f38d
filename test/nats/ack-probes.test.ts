import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { AckPolicy, jetstreamManager } from '@nats-io/jetstream'
import { connect, createInbox, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { AckProbes } from '#src/nats/ack-probes.js'
import { eventually } from '../support/eventually.ts'
import { startTestServer } from '../support/nats-server.ts'

const replyOf = (consumer: string, sequence = 1): string =>
  `$JS.ACK.JOBS.${consumer}.1.${sequence}.${sequence}.1700000000000000000.0`

/** On a connection whose server answers when the test says so. */
function createProbes() {
  let hear: ((error: Error | null, message: Msg) => void) | undefined
  let heard = ''
  const nc = {
    subscribe: (subject: string, { callback }: { callback: typeof hear }) => {
      heard = subject
      hear = callback
      return { unsubscribe: () => {} }
    },
  } as unknown as NatsConnection
  let changes = 0
  const probes = new AckProbes(
    nc,
    () => 'inbox',
    () => {
      changes += 1
    },
  )
  return {
    probes,
    answer: (subject: string) => {
      assert.match(subject, /^inbox\.\d+$/)
      assert.equal(heard, 'inbox.*')
      hear!(null, { subject } as Msg)
    },
    /** Asks, however long ago the last question was. */
    asked: (consumer: string) => eventually('it asks', () => probes.answerTo(replyOf(consumer))),
    changes: () => changes,
  }
}

test('nothing is asked before there is a connection, nor of what is no ack', () => {
  const { probes } = createProbes()
  assert.equal(probes.answerTo(replyOf('send')), undefined)
  probes.open()
  assert.equal(probes.answerTo('_INBOX.send'), undefined)
  probes.close()
})

test('each consumer has one question at a time', async () => {
  const { probes, answer, asked } = createProbes()
  probes.open()
  const first = await asked('send')
  await asked('fetch')
  const until = performance.now() + 100
  await eventually('some time has passed', () => {
    assert.equal(probes.answerTo(replyOf('send', 2)), undefined)
    return performance.now() > until
  })
  answer(first)
  assert.notEqual(await asked('send'), first)
  probes.close()
})

test('a consumer that does not answer is behind, and no other one, until it does', async () => {
  const { probes, answer, asked, changes } = createProbes()
  probes.open()
  answer(await asked('fetch'))
  const late = await asked('send')
  assert.equal(probes.isBehind('JOBS', 'send'), false)
  await eventually('it is behind', () => probes.isBehind('JOBS', 'send'))
  assert.deepEqual([probes.anyBehind, probes.isBehind('JOBS', 'fetch'), changes()], [true, false, 1])
  answer(late)
  assert.deepEqual([probes.anyBehind, probes.isBehind('JOBS', 'send'), changes()], [false, false, 2])
  probes.close()
})

test('an answer that never comes is waited for no longer, and is asked for again', async () => {
  const { probes, asked, changes } = createProbes()
  probes.open()
  await asked('send')
  await eventually('it is behind', () => probes.isBehind('JOBS', 'send'))
  await eventually('it is so no longer', () => changes() === 2)
  assert.equal(probes.anyBehind, false)
  await asked('send')
  probes.close()
})

test('what was asked of a consumer that was made anew is not waited for', async () => {
  const { probes, asked, changes } = createProbes()
  probes.open()
  await asked('send')
  await eventually('it is behind', () => probes.isBehind('JOBS', 'send'))
  probes.forsake('JOBS', 'send')
  probes.forsake('JOBS', 'fetch')
  assert.deepEqual([probes.anyBehind, changes()], [false, 2])
  probes.close()
})

test('with the connection goes what was asked on it', async () => {
  const { probes, asked } = createProbes()
  probes.open()
  await asked('send')
  await eventually('it is behind', () => probes.isBehind('JOBS', 'send'))
  probes.open()
  assert.equal(probes.anyBehind, false)
  await asked('send')
  probes.close()
})

test('a server answers when it has noted the ack, and is behind while it stands still', async (t) => {
  const server = await startTestServer(t)
  const nc = await connect({ servers: server.url })
  t.after(() => nc.close())
  const jsm = await jetstreamManager(nc)
  await jsm.streams.add({ name: 'JOBS', subjects: ['jobs.>'] })
  await jsm.consumers.add('JOBS', { durable_name: 'send', ack_policy: AckPolicy.Explicit })
  let changes = 0
  const probes = new AckProbes(nc, createInbox, () => {
    changes += 1
  })
  probes.open()
  const ack = async (): Promise<void> => {
    await nc.request('jobs.send')
    // It comes with its own subject, which a request would not know again.
    const inbox = createInbox()
    let reply = ''
    nc.subscribe(inbox, {
      max: 1,
      callback: (_, message) => {
        reply = message.reply!
      },
    })
    nc.publish('$JS.API.CONSUMER.MSG.NEXT.JOBS.send', '', { reply: inbox })
    const answerTo = await eventually('an answer is asked for', () => probes.answerTo(reply))
    server.kill('SIGSTOP')
    // Not on its way there: a thread that still runs would answer.
    const threads = `/proc/${server.pid}/task`
    const isStill = (thread: string): boolean =>
      / T /.test(readFileSync(`${threads}/${thread}/stat`, 'latin1'))
    await eventually('it stands still', () => readdirSync(threads).every(isStill))
    nc.publish(reply, '+ACK', { reply: answerTo })
    await eventually('it is behind', () => probes.isBehind('JOBS', 'send'))
    server.kill('SIGCONT')
  }
  for (let times = 1; times <= 2; times += 1) {
    await ack()
    await eventually('it has caught up', () => changes === 2 * times)
    assert.equal((await jsm.consumers.info('JOBS', 'send')).num_ack_pending, 0)
  }
  probes.close()
})
