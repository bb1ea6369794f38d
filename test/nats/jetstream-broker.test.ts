import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readSettings } from '#src/config/settings.js'
import { namesFor } from '#src/core/names.js'
import { connectBroker } from '#src/nats/connection.js'
import { JetStreamBroker } from '#src/nats/jetstream-broker.js'
import type { BrokerOptions } from '#src/nats/jetstream-parts.js'
import { startTestServer } from '../support/nats-server.ts'

const ignoring = new Proxy({}, { get: () => () => {} })

test('held acks leave before a job is asked for, behind whose answer a suspect begins', async (t) => {
  const server = await startTestServer(t)
  const { settings } = readSettings({ environment: { NATS_URL: server.url } })
  const connection = await connectBroker(settings, {
    supervisorId: 'test',
    signal: new AbortController().signal,
    onEvent: () => {},
  })
  t.after(() => connection.close())
  const broker = await JetStreamBroker.open({
    // A server of this line gets its acks in order, for which they wait.
    connection: Object.create(connection, { version: { value: { major: 2, minor: 10, patch: 27 } } }),
    names: namesFor('jobs'),
    handlers: ['send'],
    hasSchedules: false,
    settings,
    keepsResults: false,
    listener: ignoring as BrokerOptions['listener'],
    reports: ignoring as BrokerOptions['reports'],
  })
  t.after(() => broker.close())
  const reply = '$JS.ACK.JOBS.send.1.7.7.1700000000000000000.0'
  const { protocol } = connection.nc as unknown as { protocol: { sendCommand(command: unknown): void } }
  const sent = t.mock.method(protocol, 'sendCommand')
  const acksSent = () =>
    sent.mock.calls.filter(({ arguments: [command] }) => String(command).includes(reply)).length
  broker.ack(reply)
  await Promise.resolve()
  assert.equal(acksSent(), 0, 'it is held')
  const isStored = broker.isStored('JOBS', 7)
  assert.equal(acksSent(), 1)
  assert.equal(await isStored, false)
})
