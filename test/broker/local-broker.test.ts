import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { startLocalBroker } from '#src/broker/local-broker.js'
import { serverBinary, serverVersion, startTestServer } from '../support/nats-server.ts'
import { tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'

test('a local broker offers JetStream on loopback and leaves nothing behind', async () => {
  const broker = await startLocalBroker({ binary: serverBinary, monitoring: true })
  try {
    assert.equal(new URL(broker.url).hostname, '127.0.0.1')
    const connection = await connect({ servers: broker.url })
    assert.equal(connection.info?.jetstream, true)
    assert.equal(connection.info?.version, serverVersion)
    await connection.close()
    const health = await fetch(`${broker.monitoringUrl}/healthz`)
    assert.deepEqual(await health.json(), { status: 'ok' })
  } finally {
    await broker.stop()
  }
  assert.equal(broker.isRunning(), false)
  assert.equal(isAlive(broker.pid), false)
  assert.equal(existsSync(broker.storeDir), false)
  await broker.stop()
})

test('a broker killed and restarted has the same port and its messages', async (t) => {
  const broker = await startTestServer(t)
  const { url, pid } = broker
  await publishOne(url, 'first')

  assert.equal(broker.kill('SIGKILL'), true)
  await broker.ended()
  assert.equal(broker.isRunning(), false)
  assert.equal(broker.kill('SIGKILL'), false)
  await broker.restart()
  assert.equal(broker.url, url)
  assert.notEqual(broker.pid, pid)
  await publishOne(url, 'second')

  await broker.restart()
  assert.equal(await storedMessages(url), 2)
})

test('a store that was given survives the stop and serves the next broker', async (t) => {
  const storeDir = await tempDir(t)
  const first = await startTestServer(t, { storeDir })
  await publishOne(first.url, 'kept')
  await first.stop()
  const second = await startTestServer(t, { storeDir })
  assert.equal(await storedMessages(second.url), 1)
})

test('a broker that hangs (SIGSTOP) goes on after SIGCONT, and can be stopped while it hangs', async (t) => {
  const broker = await startTestServer(t)
  const connection = await connect({ servers: broker.url, reconnect: false })
  broker.kill('SIGSTOP')
  const answer = connection.flush()
  broker.kill('SIGCONT')
  await answer
  await connection.close()

  broker.kill('SIGSTOP')
  await broker.stop()
  assert.equal(isAlive(broker.pid), false)
})

test('a configuration file is used for accounts', async (t) => {
  const config = 'authorization { user: ada, password: secret }'
  const broker = await startTestServer(t, { config })
  await assert.rejects(connect({ servers: broker.url, reconnect: false }), { name: 'AuthorizationError' })
  const connection = await connect({ servers: broker.url, user: 'ada', pass: 'secret' })
  await connection.close()
})

test('a configuration that the server refuses is shown with the end of its log', async () => {
  const config = 'authorization {\n  usr_and_pwd: nonsense\n}'
  await assert.rejects(startLocalBroker({ binary: serverBinary, config }), {
    code: 'broker_unreachable',
    message: /stopped at once; the end of its log:\n.*nats-server\.conf:2.*usr_and_pwd/s,
  })
})

test('a port in use is told with the end of the log', async (t) => {
  const first = await startTestServer(t)
  const port = Number(new URL(first.url).port)
  await assert.rejects(startLocalBroker({ binary: serverBinary, port }), /address already in use/)
})

test('kill -9 of the parent leaves neither server nor store', async () => {
  const script = `
    const { startLocalBroker } = await import(process.argv[1])
    const broker = await startLocalBroker({ binary: process.argv[2] })
    console.log(JSON.stringify({ pid: broker.pid, storeDir: broker.storeDir }))`
  const parent = spawn(
    process.execPath,
    ['--input-type=module', '-e', script, import.meta.resolve('#src/broker/local-broker.js'), serverBinary],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const [line] = await once(createInterface({ input: parent.stdout }), 'line')
  const { pid, storeDir } = JSON.parse(line as string) as { pid: number; storeDir: string }
  assert.equal(isAlive(pid), true)

  parent.kill('SIGKILL')
  await until(() => !isAlive(pid), 'the server has ended')
  await until(() => !existsSync(storeDir), 'the temporary store is removed')
})

const noProc = !existsSync('/proc/self/status') && 'needs /proc to find the keeper'

test('a keeper that is killed takes its server along', { skip: noProc }, async (t) => {
  const broker = await startTestServer(t)
  process.kill(await parentOf(broker.pid), 'SIGKILL')
  await broker.ended()
  await until(() => !isAlive(broker.pid), 'the server has ended')
})

async function parentOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^PPid:\s*(\d+)/m.exec(status)?.[1])
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function publishOne(url: string, text: string): Promise<void> {
  const connection = await connect({ servers: url })
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name: 'KEPT', subjects: ['kept.>'] })
  await jetstream(connection).publish('kept.one', text)
  await connection.close()
}

async function storedMessages(url: string): Promise<number> {
  const connection = await connect({ servers: url })
  const manager = await jetstreamManager(connection)
  const { state } = await manager.streams.info('KEPT')
  await connection.close()
  return state.messages
}
