import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type Msg } from '@nats-io/transport-node'
import { ClientPublisher } from '#src/nats/client-publisher.js'
import { startTestServer } from '../support/nats-server.ts'

const stored = JSON.stringify({ stream: 'JOBS', seq: 7 })
const busy = JSON.stringify({ error: { code: 503, err_code: 10008, description: 'not now' } })

/** A publisher, and in place of JetStream a script: what is answered to the tries of each publication, in turn. */
async function scripted(t: TestContext, script: (string | undefined)[]) {
  const server = await startTestServer(t)
  const [ours, theirs] = await Promise.all([
    connect({ servers: server.url }),
    connect({ servers: server.url }),
  ])
  t.after(() => Promise.all([ours.close(), theirs.close()]))
  const tries: Msg[] = []
  theirs.subscribe('jobs.a', {
    callback: (_, message) => {
      const answer = script[tries.length]
      tries.push(message)
      if (answer !== undefined) message.respond(answer)
    },
  })
  await theirs.flush()
  const publisher = new ClientPublisher(ours, await jetstreamManager(ours, { checkAPI: false }))
  const publish = (timeoutMs = 60_000) =>
    publisher.publish({ subject: 'jobs.a', stream: 'JOBS', id: 'one', headers: [], data: '1' }, timeoutMs)
  return { publish, tries }
}

test('what nobody answers, and what is answered with nonsense, is sent again with the same id', async (t) => {
  const { publish, tries } = await scripted(t, ['nonsense', stored])
  assert.deepEqual(await publish(), { stream: 'JOBS', sequence: 7, duplicate: false })
  assert.deepEqual(
    tries.map((message) => [message.headers?.get('Nats-Msg-Id'), message.string()]),
    [
      ['one', '1'],
      ['one', '1'],
    ],
  )
})

test('what is refused for now is sent again', async (t) => {
  const { publish, tries } = await scripted(t, [busy, busy, stored])
  assert.equal((await publish()).sequence, 7)
  assert.equal(tries.length, 3)
})

test('when the time is over, the error tells what was heard last', async (t) => {
  const refused = await scripted(t, [busy, undefined])
  await assert.rejects(refused.publish(300), { code: 'broker_request_failed', message: /not now/ })
  const silent = await scripted(t, [])
  await assert.rejects(silent.publish(300), { code: 'broker_unreachable', message: /within 300 ms; whether/ })
})

test('what another stream has taken is an error', async (t) => {
  const { publish } = await scripted(t, [JSON.stringify({ stream: 'ELSEWHERE', seq: 1 })])
  await assert.rejects(publish(), { code: 'topology_conflict', message: /ELSEWHERE has taken/ })
})
