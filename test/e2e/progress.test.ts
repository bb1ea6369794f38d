import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../support/until.ts'
import { World } from '../support/world.ts'

test('progress is an event for whoever listens, and not one for each value', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const events: { subject: string; event: Record<string, unknown> }[] = []
  world.broker.nc.subscribe('events.jobs.>', {
    callback: (_error, message) => {
      events.push({ subject: message.subject, event: message.json() })
    },
  })
  await world.broker.nc.flush()

  const id = await world.broker.enqueue('act', { do: 'progress', values: [{ done: 1, of: 3 }, 2, 3] })
  await world.broker.drained()
  await until(() => events.length > 0, 'an event of progress', 10_000)

  assert.deepEqual(events, [
    {
      subject: 'events.jobs.act.progress',
      event: { job_id: id, handler: 'act', attempt: 1, value: { done: 1, of: 3 } },
    },
  ])
})
