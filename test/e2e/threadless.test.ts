import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

/** What it needs at its import is there for those only for whom the file is not. */
const source = `
import { existsSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
while (existsSync(process.env.E2E_OUTAGE)) await wait(50)
export default async (job) => {
  while (job.loop) {}
}
`

test('jobs of a supervisor whose threads do not get ready any more go to another one', async (t) => {
  const world = await World.create(t, {
    env: {
      MILLRACE_THREADS: '1',
      MILLRACE_ACK_WAIT_MS: '5000',
      MILLRACE_DEADLINE_MS: '1500',
      MILLRACE_GRACE_MS: '100',
      MILLRACE_MAX_ATTEMPTS: '1',
    },
  })
  const { broker } = world
  const folder = join(world.folder, 'handlers')
  mkdirSync(folder)
  writeFileSync(join(folder, 'needy.mjs'), source)
  const outage = join(world.folder, 'outage')
  const first = await world.supervise({ MILLRACE_HANDLERS: folder, E2E_OUTAGE: outage })

  writeFileSync(outage, '')
  const loop = await broker.enqueue('needy', { loop: true })
  await broker.enqueueAll('needy', [{}, {}, {}])
  assert.equal((await broker.deadLetter(loop)).reason, 'deadline')
  await eventually('readiness says it', async () => {
    const { status, body } = await first.get('/readyz')
    return status === 503 && body.includes('no thread of the pool cpu is ready')
  })
  assert.equal((await first.get('/healthz')).status, 200)

  const second = await world.supervise({
    MILLRACE_HANDLERS: folder,
    E2E_OUTAGE: join(world.folder, 'no-outage'),
  })
  await broker.drained()
  await second.metric('millrace_jobs_settled_total', { handler: 'needy', verdict: 'ack' }, 3)
  await second.stop()

  rmSync(outage)
  await eventually('it is ready again', async () => (await first.get('/readyz')).status === 200)
  await broker.enqueue('needy', {})
  await broker.drained()
  await first.metric('millrace_jobs_settled_total', { handler: 'needy', verdict: 'ack' }, 1)
  assert.deepEqual(await first.stop(), { code: 0, signal: null })
})
