import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Row } from './bound.ts'
import { restartedBroker } from './broker-restarted.ts'
import { deadConnection } from './dead-connection.ts'
import { deleted } from './deleted.ts'
import { manyJobs } from './many-jobs.ts'
import { type ShutdownScene, shutdown } from './shutdown.ts'
import { killedSupervisor } from './supervisor-killed.ts'
import { threadRestarts } from './thread-restarts.ts'

// `npm run test:faults` measures the limits themselves. Here a busy machine may take so much longer: what is
// tested is that each of these comes to its end, and that nothing is lost on the way.
const factor = 10

function within(row: Row, limitMs: number): void {
  for (const value of row.values) assert.ok(value <= limitMs * factor, `${row.bound}: ${row.measured}`)
}

test('bounds that are times hold, as far as a busy machine can tell', { concurrency: 4 }, async (t) => {
  const times: [name: string, limitMs: number, measure: () => Promise<Row>][] = [
    ['the jobs of a killed supervisor run elsewhere', 3_000, () => killedSupervisor({ kills: 1 })],
    [
      'the first job after a broker restart starts soon',
      1_000,
      () => restartedBroker({ signal: 'SIGKILL', restarts: 1, awayMs: 3_000 }),
    ],
    ['a deleted stream is made anew', 4_000, () => deleted({ what: 'job stream', times: 1 })],
    ['a half-open connection is noticed', 15_000, () => deadConnection({ death: 'half-open', times: 1 })],
  ]
  const running = times.map(([name, limitMs, measure]) =>
    t.test(name, async () => within(await measure(), limitMs)),
  )
  await Promise.all(running)
})

// In these nothing but the clock of the process itself decides between exit and self-kill, and a busy machine may
// let that clock win.
const scenes: ShutdownScene[] = [
  'broker blackholed',
  'stuck thread as process 1',
  'stuck thread below an init',
]
test('a stop always ends', { concurrency: 3 }, async (t) => {
  await Promise.all(
    scenes.map((scene) =>
      t.test(scene, async () => {
        const row = await shutdown({ scene, times: 1 })
        if (row.values[0] !== Number.POSITIVE_INFINITY) within(row, 2_700)
      }),
    ),
  )
})

test('threads that end one after the other leave nothing behind', async () => {
  const { values, measured } = await threadRestarts({ restarts: 12, warmUp: 6 })
  const [grownMb, files, threads, unaccounted] = values
  assert.ok(grownMb! <= 60, measured)
  // Fewer is no leak: something was open for a moment when they were first counted.
  assert.ok(files! <= 0 && threads! <= 0, measured)
  assert.equal(unaccounted, 0, measured)
})

test('many jobs all run', async () => {
  const { values, measured } = await manyJobs({ jobs: 5_000 })
  assert.equal(values[1], 0, measured)
})
