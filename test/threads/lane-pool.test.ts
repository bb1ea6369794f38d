import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import type { StartedJob } from '#src/engine/lanes-port.js'
import type { ThreadLaneHandle } from '#src/threads/lane.js'
import { LanePool, type LanePoolListener } from '#src/threads/lane-pool.js'
import { monotonicMs } from '#src/threads/monotonic.js'
import { askThread } from '#src/threads/thread-inspector.js'
import { handlerState, heldJob } from '../support/fake-engine-parts.ts'
import { until } from '../support/until.ts'

const ackWaitMs = 500

interface SpinningPool {
  readonly lane: ThreadLaneHandle
  post(durations: readonly number[], renewedAt: number): InFlightJob[]
}

/** A pool with one thread, whose jobs spin for as many milliseconds as they say, and a way to post some. */
async function spinningPool(t: TestContext, listener: Partial<LanePoolListener>): Promise<SpinningPool> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-lane-pool-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'spin.mjs')
  writeFileSync(
    file,
    'export default ({ ms }) => { const end = performance.now() + ms; while (performance.now() < end); }',
  )
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
      jobEnded: () => {},
      jobsLate: () => {},
      resultsHandled: () => {},
      laneEnded: () => {},
      laneStuck: () => {},
      threadEnded: () => {},
      handlersFailed: (_pool, faults) => assert.fail(JSON.stringify(faults)),
      leaked: () => {},
      progressed: () => {},
      poolError: (_pool, error) => assert.fail(String(error)),
      ...listener,
    },
  )
  t.after(() => pool.close())
  await pool.firstReady
  const lane = pool.lanes[0]!
  const handler = handlerState()
  const post = (durations: readonly number[], renewedAt: number): InFlightJob[] => {
    const jobs = durations.map((ms, index) =>
      heldJob(index + 1, { handler, now: renewedAt, data: Buffer.from(JSON.stringify({ ms })) }),
    )
    for (const job of jobs) lane.put(job)
    lane.send()
    return jobs
  }
  return { lane, post }
}

test('G2: a thread begins nothing whose lease nobody has renewed, and says so', async (t) => {
  const ended: InFlightJob[] = []
  const late: InFlightJob[] = []
  const { lane, post } = await spinningPool(t, {
    jobEnded: (_lane, job) => ended.push(job),
    jobsLate: (jobs) => late.push(...jobs),
  })
  const [blocking, behind, renewed] = post([ackWaitMs * 2, 0, 0], monotonicMs())
  renewed!.renewed(monotonicMs() + 60_000)
  await until(() => lane.outstanding === 0, 'nothing is left on the thread', 10_000)
  assert.deepEqual(ended, [blocking, renewed])
  assert.deepEqual(late, [behind])
  const [next] = post([0], monotonicMs() + 60_000)
  await until(() => lane.outstanding === 0, 'the thread goes on', 10_000)
  assert.deepEqual(ended, [blocking, renewed, next])
})

test('G3: a thread that is killed while it answers where it is ends all the same', async (t) => {
  const gone: StartedJob[] = []
  const { lane, post } = await spinningPool(t, { laneEnded: (_lane, started) => gone.push(...started) })
  const [job] = post([3_600_000], monotonicMs() + 60_000)
  await until(() => lane.startedAt(job!) !== undefined, 'the job runs')
  const slowAnswer = 'for (const until = Date.now() + 5_000; Date.now() < until; );'
  // A busy machine keeps back even that there was no answer.
  assert.notEqual((await askThread(lane.threadId, slowAnswer, 1_000)).kind, 'value')
  lane.kill('deadline')
  await until(() => gone.length > 0, 'the thread has ended', 10_000)
  assert.equal(gone[0]!.job, job)
})
