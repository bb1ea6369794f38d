import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import type { AckProbes } from '#src/nats/ack-probes.js'
import { AckWriter } from '#src/nats/ack-writer.js'

const reply = '$JS.ACK.JOBS.send.1.7.7.1700000000000000000.0'
const written = `PUB ${reply} 4\r\n+ACK\r\n`

function createWriter(minor: number, answerTo?: string) {
  const commands: string[] = []
  const protocol = { sendCommand: (command: string) => commands.push(command) }
  const nc = { protocol, isClosed: () => false } as unknown as NatsConnection
  const probes = { answerTo: () => answerTo } as unknown as AckProbes
  const acks = new AckWriter(nc, () => ({ major: 2, minor, patch: 27 }), probes)
  return { acks, commands }
}

for (const minor of [9, 10, 15]) {
  test(`an ack that waits for a server 2.${minor} is gone with the connection`, async (t: TestContext) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { acks, commands } = createWriter(minor)
    acks.add(reply)
    acks.drop()
    await setImmediate()
    t.mock.timers.tick(100)
    acks.flush()
    assert.deepEqual(commands, [])
  })

  test(`an ack that is added again for a server 2.${minor} is written once`, async (t: TestContext) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { acks, commands } = createWriter(minor)
    acks.add(reply)
    acks.drop()
    acks.add(reply)
    await setImmediate()
    t.mock.timers.tick(100)
    t.mock.timers.tick(100)
    acks.flush()
    assert.deepEqual(commands, [written])
  })
}

test('the last ack of a moment asks for an answer when one is due', () => {
  const { acks, commands } = createWriter(15, '_INBOX.x.1')
  acks.add(reply)
  acks.add(reply)
  acks.flush()
  assert.deepEqual(commands, [`${written}PUB ${reply} _INBOX.x.1 4\r\n+ACK\r\n`])
})
