import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kvm } from '@nats-io/kv'
import { bucketKey } from '#src/core/control-keys.js'
import { millrace } from '../support/command-line.ts'
import { World } from '../support/world.ts'

test('what others have stored at the broker reaches a terminal as text only', async (t) => {
  const world = await World.create(t)
  const { broker, server } = world
  const environment = { NATS_URL: server.url }
  const evil = '\u001b]0;owned\u0007\u009b2J\nforged line\u202e'
  await broker.jsm.streams.add({ name: 'JOBS_TICKS', subjects: ['ticks.jobs.>'] })
  await broker.js.publish('ticks.jobs.evil', JSON.stringify({ instant: 0, state: evil, handler: evil }))
  const results = await new Kvm(broker.nc).create('jobs_results')
  const end = { job_id: 'x', handler: evil, attempts: 1, at: new Date(0).toISOString() }
  const forged = { dead: { outcome: 'dead', reason: 'permanent', error: { code: evil, message: evil } } }
  await results.put(bucketKey('dead'), JSON.stringify({ ...end, ...forged.dead }))
  await results.put(
    bucketKey('done'),
    JSON.stringify({ ...end, outcome: 'completed', result: { [evil]: evil } }),
  )

  for (const [args, shows] of [
    [['schedules', 'ls'], '\\u001b'],
    [['schedules', 'ls', '--json'], '\\u009b'],
    [['result', 'dead'], '\\u001b'],
    [['result', 'dead', '--json'], '\\u009b'],
    [['result', 'done'], '\\u009b'],
    [['pause', evil], '\\u001b'],
    [[evil], '\\u001b'],
  ] as const) {
    const { stdout, stderr } = await millrace(args, environment)
    const output = stdout + stderr
    assert.ok(output.includes(shows), `${args.join(' ')}: ${JSON.stringify(output)}`)
    assert.doesNotMatch(output.replaceAll('\n', ''), /[\p{Cc}\u202e]/u, args.join(' '))
    assert.ok(!output.split('\n').some((line) => line.startsWith('forged')), output)
    if (args.includes('--json' as never)) JSON.parse(stdout)
  }
})
