import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  intervalRule,
  jitterOf,
  newestInstants,
  planTick,
  type TickSchedule,
  type TickStep,
  type TickView,
} from '#src/core/tick-plan.js'

const day = Date.UTC(2026, 0, 1)
const second = 1_000

function schedule(overrides: Partial<TickSchedule> = {}): TickSchedule {
  return {
    name: 'a',
    handler: 'a',
    rule: intervalRule(second),
    catchUp: 'last',
    overlap: 'allow',
    jitterMs: 0,
    payload: undefined,
    ...overrides,
  }
}

/** A supervisor that has been there for an hour and knows the tick of a second ago. */
function plan(overrides: Partial<TickView>, options: Partial<TickSchedule> = {}): TickStep {
  const now = overrides.now ?? day
  return planTick(schedule(options), {
    cursor: now - second,
    now,
    watchedSince: now - 3_600 * second,
    mayJudge: true,
    madeUpTo: Number.NEGATIVE_INFINITY,
    ...overrides,
  })
}

test('ticks of an interval fall on its multiples since the epoch and do not drift', () => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 1e9 }), fc.integer({ min: 0, max: 2e12 }), (everyMs, after) => {
      const next = intervalRule(everyMs).next(after)!
      assert.equal(next % everyMs, 0)
      assert.ok(next > after && next - after <= everyMs)
    }),
  )
})

test('a tick is published at its instant and not before', () => {
  assert.deepEqual(plan({ now: day - 1, cursor: day - second }), { kind: 'wait', until: day })
  assert.deepEqual(plan({ now: day }), {
    kind: 'publish',
    instant: day,
    missed: 0,
    madeUpTo: Number.NEGATIVE_INFINITY,
  })
})

test('ticks that are a little late are all published, in order, whatever catchUp says', () => {
  for (const catchUp of ['none', 'last', 'all'] as const) {
    const step = plan({ cursor: day - 9 * second }, { catchUp })
    assert.equal(step.kind === 'publish' && step.instant, day - 8 * second)
  }
})

test('catchUp says what becomes of ticks that were missed', () => {
  const cursor = day - 60 * second
  const missed = { cursor, watchedSince: day }
  assert.deepEqual(plan(missed, { catchUp: 'none' }), { kind: 'pass', instant: day - second, missed: 59 })
  assert.deepEqual(plan(missed, { catchUp: 'last' }), {
    kind: 'publish',
    instant: day - second,
    missed: 58,
    madeUpTo: day - second,
  })
  assert.deepEqual(plan(missed, { catchUp: 'all' }), {
    kind: 'publish',
    instant: cursor + second,
    missed: 0,
    madeUpTo: day - second,
  })
})

test('what is made up for is bounded, and goes on to its end once it is judged', () => {
  const cursor = day - 5_000 * second
  const step = plan({ cursor, watchedSince: day }, { catchUp: 'all' })
  assert.deepEqual(step, {
    kind: 'publish',
    instant: day - 1_000 * second,
    missed: 3_999,
    madeUpTo: day - second,
  })
  const view = { cursor: day - 1_000 * second, watchedSince: day, madeUpTo: day - second }
  const next = plan(view, { catchUp: 'all' })
  assert.equal(next.kind === 'publish' && next.instant, day - 999 * second)
})

test('a newcomer leaves what was due before it came to the others, for a moment', () => {
  assert.deepEqual(plan({ cursor: day - 3 * second, watchedSince: day - second, mayJudge: false }), {
    kind: 'hold',
  })
  const own = plan({ cursor: day - second, watchedSince: day - second, mayJudge: false })
  assert.equal(own.kind, 'publish')
})

test('a clock that steps back brings no tick again', () => {
  assert.deepEqual(plan({ cursor: day, now: day - 3_600 * second }), { kind: 'wait', until: day + second })
})

test('a clock that steps forward makes ticks late or missed like any pause', () => {
  const late = plan({ cursor: day - 5 * second }, { catchUp: 'none' })
  assert.equal(late.kind === 'publish' && late.instant, day - 4 * second)
  const step = plan({ cursor: day - 3_600 * second }, { catchUp: 'none' })
  assert.deepEqual(step, { kind: 'pass', instant: day - 11 * second, missed: 3_589 })
})

test('a schedule that has come to its end waits for nothing', () => {
  const rule = { next: () => undefined }
  assert.deepEqual(plan({}, { rule }), { kind: 'wait', until: undefined })
})

test('jitter is the same for everybody, within its bound, and spread', () => {
  const seen = new Set<number>()
  for (let tick = 0; tick < 1_000; tick += 1) {
    const jitter = jitterOf({ name: 'a', jitterMs: 99 }, day + tick * second)
    assert.equal(jitter, jitterOf({ name: 'a', jitterMs: 99 }, day + tick * second))
    assert.ok(jitter >= 0 && jitter <= 99 && Number.isInteger(jitter))
    seen.add(jitter)
  }
  assert.ok(seen.size > 90, `only ${seen.size} of 100 amounts occur`)
  assert.notEqual(jitterOf({ name: 'a', jitterMs: 1e6 }, day), jitterOf({ name: 'b', jitterMs: 1e6 }, day))
})

test('a tick with jitter is published that much later, and is missed only after the end of its jitter', () => {
  const jitterMs = 30 * second
  const rule = intervalRule(60 * second)
  const dueAt = day + jitterOf({ name: 'a', jitterMs }, day)
  assert.deepEqual(plan({ now: day, cursor: day - 1 }, { jitterMs, rule }), { kind: 'wait', until: dueAt })
  const late = { now: day + 30 * second, cursor: day - 1, watchedSince: day + 29 * second, mayJudge: false }
  assert.equal(plan(late, { jitterMs, rule }).kind, 'publish')
  assert.equal(plan({ ...late, watchedSince: day + 31 * second }, { jitterMs, rule }).kind, 'hold')
})

test('however often and late somebody looks, each tick is decided once and none is left out', () => {
  const gaps = fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 30 })
  const options = fc.record({
    catchUp: fc.constantFrom('none', 'last', 'all'),
    jitterMs: fc.constantFrom(0, 700, 3_000),
    rule: fc.integer({ min: 100, max: 5_000 }).map((everyMs) => intervalRule(everyMs)),
  })
  fc.assert(
    fc.property(gaps, options, (pauses, some) => {
      const whole = schedule(some)
      let cursor = day
      let now = day
      let madeUpTo = Number.NEGATIVE_INFINITY
      let decided = 0
      for (const pause of pauses) {
        now += pause
        for (;;) {
          const view = { cursor, now, watchedSince: day, mayJudge: true, madeUpTo }
          const step = planTick(whole, view)
          if (step.kind === 'wait' || step.kind === 'hold') break
          assert.ok(step.instant > cursor && step.instant <= now)
          decided += step.missed + (step.kind === 'publish' ? 1 : 0)
          cursor = step.instant
          if (step.kind === 'publish') madeUpTo = step.madeUpTo
        }
      }
      assert.equal(decided, newestInstants(whole.rule, day, cursor, 1e6).length)
    }),
  )
})

test('the newest instants are found without counting from the beginning', () => {
  let asked = 0
  const counted = {
    next(after: number) {
      asked += 1
      return intervalRule(second).next(after)
    },
  }
  const found = newestInstants(counted, 0, day, 100)
  assert.deepEqual(
    found,
    Array.from({ length: 100 }, (_, index) => day - (99 - index) * second),
  )
  assert.ok(asked < 1_000, `${asked} instants were looked at`)
})
