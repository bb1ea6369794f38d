import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { startTestServer } from '../support/nats-server.js'
import { tempDir } from '../support/temp-dir.js'
import { type SupervisorProcess, startSupervisor } from './supervisor-process.js'

const tooLate = 'cannot raise the number of its file threads'
const skip = process.platform === 'win32' && 'needs named pipes'

test('with UV_THREADPOOL_SIZE set, four blocked reads do not stop other jobs', { skip }, async (t) => {
  const supervisor = await blockFourReads(t, { UV_THREADPOOL_SIZE: '6' })
  assert.ok(!supervisor.output.includes(tooLate))
  await supervisor.said('looked around')
})

test('without it the supervisor sets it, or says that this Node.js is too old', { skip }, async (t) => {
  const supervisor = await blockFourReads(t, {})
  if (!supervisor.output.includes(tooLate)) await supervisor.said('looked around')
  else assert.ok(Number.parseInt(process.versions.node, 10) < 24)
})

/** A supervisor with a job that blocks four threads of libuv, and then one that needs another. */
async function blockFourReads(
  t: TestContext,
  environment: Record<string, string>,
): Promise<SupervisorProcess> {
  const folder = await tempDir(t)
  const pipes = ['a', 'b', 'c', 'd'].map((name) => path.join(folder, name))
  assert.equal(spawnSync('mkfifo', pipes).status, 0)
  const imports = "import { readFile } from 'node:fs/promises'\nimport { lookup } from 'node:dns/promises'\n"
  await writeFile(
    path.join(folder, 'block.mjs'),
    `${imports}export default (pipes, ctx) => {
       const reads = pipes.map((pipe) => readFile(pipe))
       ctx.logger.info('reads began')
       return Promise.all(reads)
     }`,
  )
  await writeFile(
    path.join(folder, 'look.mjs'),
    `${imports}export default async (_, ctx) => {
       await readFile(new URL(import.meta.url))
       await lookup('localhost')
       ctx.logger.info('looked around')
     }`,
  )
  const broker = await startTestServer(t)
  const supervisor = startSupervisor(t, {
    NATS_URL: broker.url,
    MILLRACE_HANDLERS: folder,
    MILLRACE_THREADS: '1',
    MILLRACE_DEADLINE_MS: '500',
    ...environment,
  })
  await supervisor.said('"running"')
  const nc = await connect({ servers: broker.url })
  t.after(() => nc.close())
  await jetstream(nc).publish('jobs.block', JSON.stringify(pipes))
  await supervisor.said('reads began')
  await jetstream(nc).publish('jobs.look', '{}')
  return supervisor
}
