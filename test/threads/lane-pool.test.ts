import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { LanePool } from '#src/threads/lane-pool.js'
import { monotonicMs } from '#src/threads/monotonic.js'
import { handlerState, heldJob } from '../support/fake-engine-parts.ts'
import { until } from '../support/until.ts'

const ackWaitMs = 500

test('G2: a thread begins nothing whose lease nobody has renewed, and says so', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-lane-pool-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'spin.mjs')
  writeFileSync(
    file,
    'export default ({ ms }) => { const end = performance.now() + ms; while (performance.now() < end); }',
  )
  const ended: InFlightJob[] = []
  const late: InFlightJob[] = []
  const pool = new LanePool(
    {
      name: 'cpu',
      threads: 1,
      concurrency: 1,
      slots: 8,
      memoryMb: undefined,
      handlers: [{ name: 'spin', url: pathToFileURL(file).href }],
      pool: new Set(['spin']),
      namespace: 'jobs',
      supervisorId: 'test',
      logLevel: 'info',
      resultMaxBytes: 1_000,
      ackWaitMs,
      stuckMs: 500,
    },
    {
      laneReady: () => {},
      jobEnded: (_lane, job) => ended.push(job),
      jobsLate: (jobs) => late.push(...jobs),
      resultsHandled: () => {},
      laneEnded: () => {},
      laneStuck: () => {},
      threadEnded: () => {},
      handlersFailed: (_pool, faults) => assert.fail(JSON.stringify(faults)),
      leaked: () => {},
      progressed: () => {},
      poolError: (_pool, error) => assert.fail(String(error)),
    },
  )
  t.after(() => pool.close())
  await pool.firstReady
  const [lane] = pool.lanes
  const handler = handlerState()
  const post = (durations: readonly number[], renewedAt: number): InFlightJob[] => {
    const jobs = durations.map((ms, index) =>
      heldJob(index + 1, { handler, now: renewedAt, data: Buffer.from(JSON.stringify({ ms })) }),
    )
    for (const job of jobs) lane!.put(job)
    lane!.send()
    return jobs
  }
  const [blocking, behind, renewed] = post([ackWaitMs * 2, 0, 0], monotonicMs())
  renewed!.renewed(monotonicMs() + 60_000)
  await until(() => lane!.outstanding === 0, 'nothing is left on the thread', 10_000)
  assert.deepEqual(ended, [blocking, renewed])
  assert.deepEqual(late, [behind])
  const [next] = post([0], monotonicMs() + 60_000)
  await until(() => lane!.outstanding === 0, 'the thread goes on', 10_000)
  assert.deepEqual(ended, [blocking, renewed, next])
})
