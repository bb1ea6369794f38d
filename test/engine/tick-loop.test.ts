import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { intervalRule, type TickSchedule } from '#src/core/tick-plan.js'
import { advanced, firstRecord } from '#src/core/ticks.js'
import { TickLoop } from '#src/engine/tick-loop.js'
import { ManualClock, settled } from '../support/fake-engine-parts.ts'
import { FakeTicks } from '../support/fake-ticks.ts'

const day = Date.UTC(2026, 0, 1)
const second = 1_000

interface Options {
  schedule?: Partial<TickSchedule>
  /** The record before anybody starts: the instant of its last tick. */
  cursor?: number
}

function createWorld(t: TestContext, { schedule = {}, cursor }: Options = {}) {
  const clock = new ManualClock()
  const ticks = new FakeTicks()
  if (cursor !== undefined) ticks.put('a', firstRecord(cursor, 'past'))
  const loops: TickLoop[] = []
  return {
    clock,
    ticks,
    /** One more supervisor. */
    start(supervisorId = `s${loops.length + 1}`): TickLoop {
      const whole: TickSchedule = {
        name: 'a',
        handler: 'a',
        rule: intervalRule(second),
        catchUp: 'last',
        overlap: 'allow',
        jitterMs: 0,
        payload: undefined,
        ...schedule,
      }
      const loop = new TickLoop(whole, { store: ticks, clock, observer: ticks, supervisorId })
      loop.start()
      loops.push(loop)
      t.after(() => loop.stop())
      return loop
    },
  }
}

/** Instants as seconds from where the manual clock begins. */
function seconds(instants: readonly number[]): number[] {
  return instants.map((instant) => (instant - day) / second)
}

test('a schedule that nobody has seen begins now, and its ticks follow', async (t) => {
  const { clock, ticks, start } = createWorld(t)
  start()
  await clock.pass(3_500)
  assert.deepEqual(seconds(ticks.instants), [1, 2, 3])
  assert.equal(ticks.jobs[0]!.id, 'tick:a:2026-01-01T00:00:01.000Z')
  assert.deepEqual(ticks.records.get('a')!.record, {
    instant: day + 3 * second,
    state: 'published',
    handler: 'a',
    payload: null,
    supervisor: 's1',
    jobs: [1, 2, 3].map((n) => ({ instant: day + n * second, sequence: n })),
  })
})

test('of several supervisors one publishes, and the others say so', async (t) => {
  const { clock, ticks, start } = createWorld(t)
  for (let count = 0; count < 3; count += 1) start()
  await clock.pass(10_500)
  assert.deepEqual(seconds(ticks.instants), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  const said = ticks.take()
  assert.equal(said.filter((line) => line.startsWith('published')).length, 10)
  assert.equal(said.filter((line) => line === 'duplicate a').length, 20)
})

test('a tick that its claimer left is completed by another after a second', async (t) => {
  const { clock, ticks, start } = createWorld(t)
  ticks.put('a', advanced(firstRecord(0, 'dead'), day, 'claimed', 'dead'))
  start()
  await clock.pass(990)
  assert.deepEqual(ticks.instants, [])
  await clock.pass(500)
  assert.deepEqual(seconds(ticks.instants), [0, 1])
})

test('a claim whose answer was lost is gone on with at once', async (t) => {
  const { clock, ticks, start } = createWorld(t)
  start()
  await settled()
  let writes = 0
  ticks.after = (step) => {
    if (step === 'write' && ++writes === 1) throw new Error('no answer')
  }
  await clock.pass(1_600)
  assert.deepEqual(seconds(ticks.instants), [1])
  assert.deepEqual(ticks.take(), ['unavailable a', `published a ${day + second}`])
})

test('a publish whose answer was lost is repeated under its id, and counted once', async (t) => {
  const { clock, ticks, start } = createWorld(t)
  start()
  let publishes = 0
  ticks.after = (step) => {
    if (step === 'publish' && ++publishes === 1) throw new Error('no answer')
  }
  await clock.pass(2_500)
  assert.deepEqual(seconds(ticks.instants), [1, 2])
  assert.deepEqual(ticks.take(), [
    'unavailable a',
    `published a ${day + second}`,
    `published a ${day + 2 * second}`,
  ])
})

test('while the broker is away nothing is asked, and the ticks of a short absence follow late', async (t) => {
  const { clock, ticks, start } = createWorld(t, { schedule: { catchUp: 'none' } })
  start()
  await clock.pass(1_200)
  ticks.connected = false
  let asked = 0
  ticks.before = () => {
    asked += 1
  }
  await clock.pass(6_000)
  assert.equal(asked, 0)
  ticks.connected = true
  await clock.pass(1_000)
  assert.deepEqual(seconds(ticks.instants), [1, 2, 3, 4, 5, 6, 7, 8])
  assert.ok(ticks.take().every((line) => line.startsWith('published')))
})

test('catchUp after a time without anybody: none', async (t) => {
  const { clock, ticks, start } = createWorld(t, { schedule: { catchUp: 'none' }, cursor: day - 60_000 })
  start()
  start()
  await clock.pass(5_500)
  assert.deepEqual(seconds(ticks.instants), [0, 1, 2, 3, 4, 5])
  assert.deepEqual(
    ticks.take().filter((line) => line.startsWith('missed')),
    ['missed a 59'],
  )
})

test('catchUp after a time without anybody: last', async (t) => {
  const { clock, ticks, start } = createWorld(t, { cursor: day - 60_000 })
  start()
  start()
  await clock.pass(5_500)
  assert.deepEqual(seconds(ticks.instants), [-1, 0, 1, 2, 3, 4, 5])
  assert.deepEqual(
    ticks.take().filter((line) => line.startsWith('missed')),
    ['missed a 58'],
  )
})

test('catchUp after a time without anybody: all, oldest first', async (t) => {
  const { clock, ticks, start } = createWorld(t, { schedule: { catchUp: 'all' }, cursor: day - 60_000 })
  start()
  start()
  await clock.pass(9_500)
  assert.deepEqual(
    seconds(ticks.instants),
    Array.from({ length: 69 }, (_, index) => index - 59),
  )
  assert.deepEqual(
    ticks.take().filter((line) => line.startsWith('missed')),
    [],
  )
})

test('a newcomer does not pass over what the others are about to publish', async (t) => {
  const { clock, ticks, start } = createWorld(t, { schedule: { catchUp: 'none' } })
  start()
  await clock.pass(2_500)
  // The one who is there cannot reach the broker for a moment.
  ticks.connected = false
  await clock.pass(1_800)
  ticks.connected = true
  start()
  await clock.pass(3_000)
  assert.deepEqual(seconds(ticks.instants), [1, 2, 3, 4, 5, 6, 7])
  assert.ok(ticks.take().every((line) => !line.startsWith('missed')))
})

test('overlap: skip leaves out ticks while the job of an earlier one is not settled', async (t) => {
  const { clock, ticks, start } = createWorld(t, { schedule: { overlap: 'skip' } })
  start()
  await clock.pass(3_500)
  assert.deepEqual(seconds(ticks.instants), [1])
  ticks.settledJobs.add(1)
  await clock.pass(2_000)
  assert.deepEqual(seconds(ticks.instants), [1, 4])
  assert.deepEqual(
    ticks.take().filter((line) => line.startsWith('skipped')),
    [2, 3, 5].map((tick) => `skipped a ${day + tick * second}`),
  )
})

test('a clock that steps back repeats nothing, and one that steps forward is noticed within seconds', async (t) => {
  const { clock, ticks, start } = createWorld(t, {
    schedule: { rule: intervalRule(60 * second), catchUp: 'all' },
  })
  start()
  await clock.pass(61_000)
  clock.step(-30_000)
  await clock.pass(90_000)
  assert.deepEqual(seconds(ticks.instants), [60, 120])
  clock.step(58_000)
  await clock.pass(5_000)
  assert.deepEqual(seconds(ticks.instants), [60, 120, 180])
})

test('G7: a stop finishes the tick that is being published and begins no other', async (t) => {
  const { clock, ticks, start } = createWorld(t)
  const loop = start()
  let letThrough = (): void => {}
  ticks.before = (step) => {
    if (step !== 'publish') return undefined
    return new Promise<void>((resolve) => {
      letThrough = resolve
    })
  }
  await clock.pass(1_000)
  const stopped = loop.stop()
  await clock.pass(3_000)
  letThrough()
  await stopped
  assert.deepEqual(seconds(ticks.instants), [1])
  assert.equal(ticks.records.get('a')!.record.state, 'published')
  assert.equal(clock.timers, 0)
  await loop.stop()
})

test('a record that is far ahead is told of, and the schedule begins anew when it is removed', async (t) => {
  const { clock, ticks, start } = createWorld(t, { cursor: Date.UTC(2099, 0, 1) })
  start()
  await clock.pass(20 * second)
  assert.deepEqual(ticks.instants, [])
  const told = ticks.take()
  assert.ok(told.length >= 4 && told.length <= 6, `once for each look, and not more: ${told.length}`)
  assert.ok(told.every((line) => line === 'unavailable a'))
  ticks.records.delete('a')
  await clock.pass(10 * second)
  assert.ok(ticks.instants.length >= 4)
})

test('a record that is a little ahead, by a clock that is, is waited for in silence', async (t) => {
  const { clock, ticks, start } = createWorld(t, { cursor: day + 30 * second })
  start()
  await clock.pass(31 * second)
  assert.deepEqual(seconds(ticks.instants), [31])
  assert.deepEqual(ticks.take(), [`published a ${day + 31 * second}`])
})

test('the record says what to run by hand, and two versions of a schedule do not correct each other for ever', async (t) => {
  const { clock, ticks, start } = createWorld(t, {
    schedule: { payload: '{"n":1}', rule: intervalRule(3_600 * second) },
  })
  ticks.put('a', { ...firstRecord(day, 'past'), handler: 'a', payload: '{"n":0}' })
  start()
  await clock.pass(10)
  const { record, revision } = ticks.records.get('a')!
  assert.deepEqual([record.payload, record.instant, record.state], ['{"n":1}', day, 'new'])
  ticks.put('a', { ...record, payload: '{"n":2}' })
  await clock.pass(60_000)
  assert.deepEqual(ticks.records.get('a')!.revision, revision + 1)
  await clock.pass(3_600_000)
  const after = ticks.records.get('a')!
  // Claimed and published, and nothing besides.
  assert.deepEqual([after.record.payload, after.revision], ['{"n":1}', revision + 3])
})

test('what the record says to run by hand is written again when that failed, and left out when it is long', async (t) => {
  const { clock, ticks, start } = createWorld(t, {
    schedule: { payload: JSON.stringify({ text: '"'.repeat(50_000) }), rule: intervalRule(3_600 * second) },
  })
  ticks.put('a', { ...firstRecord(day, 'past'), handler: 'a', payload: '{"n":0}' })
  let failures = 0
  ticks.before = (step) => {
    if (step !== 'write' || failures > 0) return
    failures += 1
    throw new Error('away')
  }
  start()
  await clock.pass(1_000)
  const { record } = ticks.records.get('a')!
  assert.deepEqual([failures, record], [1, { ...firstRecord(day, 'past'), handler: 'a' }])
  await clock.pass(3_600_000)
  assert.equal(ticks.jobs[0]!.payload!.length, 100_011)
})
