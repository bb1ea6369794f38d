import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { jetstreamManager } from '@nats-io/jetstream'
import { readSettings } from '#src/config/settings.js'
import { namesFor } from '#src/core/names.js'
import { connectBroker } from '#src/nats/connection.js'
import { JetStreamBroker } from '#src/nats/jetstream-broker.js'
import type { BrokerOptions } from '#src/nats/jetstream-parts.js'
import { eventually } from '../support/eventually.ts'
import { startTestServer } from '../support/nats-server.ts'

type Version = { major: number; minor: number; patch: number }

/** A broker of its own server, with one handler. */
async function openBroker(
  t: TestContext,
  about: { version?: Version; heard?: (event: string) => void } = {},
) {
  const server = await startTestServer(t)
  const { settings } = readSettings({ environment: { NATS_URL: server.url } })
  const connection = await connectBroker(settings, {
    supervisorId: 'test',
    signal: new AbortController().signal,
    onEvent: () => {},
  })
  t.after(() => connection.close())
  const get = (_: unknown, event: string) => () => about.heard?.(event)
  const broker = await JetStreamBroker.open({
    connection: about.version ? Object.create(connection, { version: { value: about.version } }) : connection,
    names: namesFor('jobs'),
    handlers: ['send'],
    hasSchedules: false,
    settings,
    keepsResults: false,
    listener: new Proxy({}, { get }) as BrokerOptions['listener'],
    reports: new Proxy({}, { get: () => () => {} }) as BrokerOptions['reports'],
  })
  t.after(() => broker.close())
  return { broker, nc: connection.nc }
}

test('G4: a consumer that is made anew may count deliveries again, and that is told before it hands out any', async (t) => {
  const heard: string[] = []
  const { broker, nc } = await openBroker(t, { heard: (event) => heard.push(event) })
  const jsm = await jetstreamManager(nc)
  broker.pull('send', 'normal', 10)
  await nc.flush()
  heard.length = 0
  const { config } = await jsm.consumers.info('JOBS', 'send')
  await jsm.consumers.delete('JOBS', 'send')
  await jsm.consumers.add('JOBS', config)
  nc.publish('jobs.send', '{}')
  await eventually('a job is delivered', () => {
    broker.pull('send', 'normal', 1)
    return heard.includes('delivered')
  })
  assert.ok(heard.includes('countsDoubtful'))
  assert.ok(heard.indexOf('countsDoubtful') < heard.indexOf('delivered'), heard.join(' '))
})

test('held acks leave before a job is asked for, behind whose answer a suspect begins', async (t) => {
  // A server of this line gets its acks in order, for which they wait.
  const { broker, nc } = await openBroker(t, { version: { major: 2, minor: 10, patch: 27 } })
  const reply = '$JS.ACK.JOBS.send.1.7.7.1700000000000000000.0'
  const { protocol } = nc as unknown as { protocol: { sendCommand(command: unknown): void } }
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
