import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  askLimits,
  emptyRecord,
  formatRecord,
  type LimitAsk,
  type LimitRecord,
  type Limits,
  parseRecord,
  shareOut,
} from '#src/core/limits.js'

const noLimit = Number.POSITIVE_INFINITY
const start = Date.UTC(2026, 0, 1)

function ask(overrides: Partial<LimitAsk> = {}): LimitAsk {
  const { inFlight = 0, ready = 0 } = overrides
  return {
    supervisor: 'a',
    beat: 1,
    inFlight,
    ready,
    wanted: inFlight + ready,
    now: start,
    errorMs: 0,
    startWithinMs: 50,
    late: { jobs: 0, at: 0 },
    dead: new Set(),
    ...overrides,
  }
}

const rate = (jobs: number, perMs: number): Limits => ({ rate: { jobs, perMs }, maxInFlight: noLimit })
const most = (maxInFlight: number): Limits => ({ rate: undefined, maxInFlight })

test('a burst of as many jobs as the limit allows starts at once, the next one a whole span later', () => {
  const first = askLimits(emptyRecord, rate(100, 1_000), ask({ ready: 150 }))
  assert.equal(first.passing, 100)
  assert.equal(first.refused, 50)
  assert.equal(first.opensInMs, 1_050)
  const early = askLimits(first.record, rate(100, 1_000), ask({ ready: 50, now: start + 1_049 }))
  assert.equal(early.passing, 0)
  const later = askLimits(first.record, rate(100, 1_000), ask({ ready: 50, now: start + 1_050 }))
  assert.equal(later.passing, 50)
  assert.equal(later.opensInMs, undefined, 'half of the next span is free')
})

test('how far the clocks of both can be off is waited for', () => {
  const granted = askLimits(emptyRecord, rate(1, 1_000), ask({ ready: 2, errorMs: 8 }))
  const opensInMs = (errorMs: number): number | undefined =>
    askLimits(granted.record, rate(1, 1_000), ask({ ready: 1, errorMs, now: start + 1_000 })).opensInMs
  assert.equal(opensInMs(0), 58)
  assert.equal(opensInMs(5), 63)
  const late = ask({ ready: 1, errorMs: 5, now: start + 1_062 })
  assert.equal(askLimits(granted.record, rate(1, 1_000), late).passing, 0)
})

test('a job that started late counts from its late start', () => {
  const limits = rate(1, 1_000)
  const { record } = askLimits(emptyRecord, limits, ask({ ready: 1 }))
  const late = { jobs: 1, at: start + 700 }
  const told = askLimits(record, limits, ask({ now: start + 800, ready: 1, late }))
  assert.ok(told.changed)
  assert.equal(told.passing, 0)
  assert.equal(askLimits(told.record, limits, ask({ now: start + 1_600, ready: 1 })).passing, 0)
  assert.equal(askLimits(told.record, limits, ask({ now: start + 1_700, ready: 1 })).passing, 1)
})

test('a clock that was put back by an hour does not close a handler for an hour', () => {
  const limits = rate(1, 1_000)
  const { record } = askLimits(emptyRecord, limits, ask({ ready: 1, now: start + 3_600_000 }))
  const moved = askLimits(record, limits, ask({ ready: 1 }))
  assert.equal(moved.passing, 0)
  assert.ok(moved.changed)
  assert.equal(askLimits(moved.record, limits, ask({ ready: 1, now: start + 1_001 })).passing, 1)
})

test('permits are kept for what runs, taken for what is ready, and never more than there are', () => {
  const first = askLimits(emptyRecord, most(3), ask({ ready: 2 }))
  assert.deepEqual([first.passing, first.permits, first.quota], [2, 2, 3])
  const other = askLimits(first.record, most(3), ask({ supervisor: 'b', ready: 2 }))
  assert.deepEqual([other.passing, other.permits, other.refused], [1, 1, 1])
  const idle = askLimits(other.record, most(3), ask({ inFlight: 1 }))
  assert.equal(idle.permits, 1)
  assert.ok(idle.changed)
  const gone = askLimits(idle.record, most(3), ask({ inFlight: 0 }))
  assert.equal(gone.isMember, false)
  assert.deepEqual([...gone.record.inFlight.keys()], ['b'])
})

test('one who has more than its part is told to give the rest back', () => {
  const alone = askLimits(emptyRecord, most(10), ask({ ready: 50 }))
  assert.equal(alone.permits, 10)
  const second = askLimits(alone.record, most(10), ask({ supervisor: 'b', ready: 50 }))
  assert.deepEqual([second.permits, second.quota], [0, 0])
  const again = askLimits(second.record, most(10), ask({ inFlight: 10, ready: 40 }))
  assert.deepEqual([again.permits, again.quota], [10, 5])
  const fewer = askLimits(again.record, most(10), ask({ inFlight: 5, ready: 45 }))
  assert.equal(fewer.permits, 5)
  const taken = askLimits(fewer.record, most(10), ask({ supervisor: 'b', ready: 50 }))
  assert.deepEqual([taken.permits, taken.quota], [5, 5])
})

test('what the dead had is free', () => {
  const { record } = askLimits(emptyRecord, most(2), ask({ ready: 2 }))
  const alive = askLimits(record, most(2), ask({ supervisor: 'b', ready: 2 }))
  assert.equal(alive.passing, 0)
  const dead = askLimits(record, most(2), ask({ supervisor: 'b', ready: 2, dead: new Set(['a']) }))
  assert.equal(dead.passing, 2)
  assert.deepEqual([...dead.record.inFlight.keys()], ['b'])
})

test('with both limits a job needs both', () => {
  const limits: Limits = { rate: { jobs: 5, perMs: 1_000 }, maxInFlight: 3 }
  const first = askLimits(emptyRecord, limits, ask({ ready: 9 }))
  assert.deepEqual([first.passing, first.permits, first.opensInMs], [3, 3, undefined])
  const second = askLimits(first.record, limits, ask({ ready: 9, inFlight: 0, now: start + 100 }))
  assert.deepEqual([second.passing, second.permits], [2, 2])
  assert.equal(second.opensInMs, 950)
})

test('supervisors with other numbers on the same record do not disturb each other beyond that', () => {
  const { record } = askLimits(emptyRecord, most(10), ask({ ready: 10 }))
  const lowered = askLimits(record, most(4), ask({ supervisor: 'b', ready: 5 }))
  assert.deepEqual([lowered.passing, lowered.quota], [0, 0])
  const unlimited = askLimits(lowered.record, rate(2, 100), ask({ supervisor: 'c', ready: 5 }))
  assert.equal(unlimited.passing, 1, 'b waits too, and it has the turn for the other')
})

test('a record survives its text; what is none counts as empty', () => {
  const { record } = askLimits(emptyRecord, most(3), ask({ ready: 2, supervisor: '__proto__' }))
  assert.deepEqual(parseRecord(formatRecord(record)), record)
  for (const garbage of [
    undefined,
    '',
    'null',
    '[]',
    '{"starts":[],"inFlight":null}',
    '{"starts":[[1]],"inFlight":{}}',
    '{"starts":[["a",1]],"inFlight":{}}',
    '{"starts":[],"inFlight":{"a":{"permits":-1,"waiting":0,"beat":1}}}',
    '{"starts":[],"inFlight":{"a":null}}',
  ]) {
    assert.deepEqual(parseRecord(garbage), emptyRecord, garbage)
  }
})

test('a share is never more than was claimed, all is given that is wanted, and parts are equal', () => {
  const claims = fc.uniqueArray(fc.tuple(fc.string(), fc.nat(20)), { maxLength: 6, selector: ([id]) => id })
  fc.assert(
    fc.property(claims, fc.nat(40), fc.nat(), (all, total, turn) => {
      const shares = shareOut(all, total, turn)
      const sum = [...shares.values()].reduce((one, two) => one + two, 0)
      const claimed = all.reduce((one, [, claim]) => one + claim, 0)
      assert.equal(sum, Math.min(total, claimed))
      const unmet = all.filter(([id, claim]) => shares.get(id)! < claim).map(([id]) => shares.get(id)!)
      for (const [id, claim] of all) {
        assert.ok(shares.get(id)! <= claim)
        for (const short of unmet)
          assert.ok(shares.get(id)! <= short + 1, 'nobody has more than one above the short')
      }
    }),
  )
})

test('by turns everybody gets some of what is too little for all', () => {
  const claims = ['a', 'b', 'c'].map((id) => [id, 5] as const)
  const lucky = [0, 1, 2].map((turn) => [...shareOut(claims, 1, turn)].find(([, share]) => share === 1)![0])
  assert.deepEqual(lucky.sort(), ['a', 'b', 'c'])
})

/** Supervisors over one record that is written by compare-and-swap; each step is one thing that one of them does. */
class Fleet {
  readonly starts: number[] = []
  most = 0
  now = start
  readonly #limits: Limits
  readonly #members: Member[]
  readonly #errors: readonly number[]
  #record = formatRecord(emptyRecord)
  #revision = 0
  #names = 0

  constructor(limits: Limits, errors: readonly number[]) {
    this.#limits = limits
    this.#errors = errors
    this.#members = errors.map(() => this.#born())
  }

  #born(): Member {
    this.#names += 1
    return { id: `s${this.#names}`, running: 0, permits: 0, quota: 0, read: undefined }
  }

  step([kind, who, amount]: readonly [string, number, number]): void {
    const index = who % this.#members.length
    const member = this.#members[index]!
    if (kind === 'pass') this.now += amount
    else if (kind === 'read') {
      const errorMs = this.#errors[index]!
      // Its clock is off by at most what it knows, one way or the other.
      const now = this.now + (amount % 2 === 0 ? errorMs : -errorMs)
      member.read = {
        record: parseRecord(this.#record),
        revision: this.#revision,
        now,
        errorMs,
        ready: amount,
        running: member.running,
        really: this.now,
      }
    } else if (kind === 'write') this.#write(member, amount)
    else if (kind === 'end') member.running = Math.max(0, member.running - amount)
    else if (kind === 'crash') this.#members[index] = this.#born()
    else if (kind === 'begin' && !this.#limits.rate && !member.read) {
      const free = Math.min(member.permits, member.quota) - member.running
      member.running += Math.max(0, Math.min(free, amount))
    }
    const running = this.#members.reduce((sum, it) => sum + it.running, 0)
    this.most = Math.max(this.most, running)
  }

  #write(member: Member, amount: number): void {
    const { read } = member
    member.read = undefined
    if (!read || this.#revision !== read.revision) return
    const living = new Set(this.#members.map(({ id }) => id))
    const answer = askLimits(read.record, this.#limits, {
      ...ask({ inFlight: read.running, ready: read.ready, now: read.now, errorMs: read.errorMs }),
      supervisor: member.id,
      beat: this.#revision,
      // The dead are known sooner or later.
      dead: new Set([...read.record.inFlight.keys()].filter((id) => amount > 5 && !living.has(id))),
    })
    // It took too long.
    if (this.#limits.rate && this.now > read.really + 50) return
    this.#record = formatRecord(answer.record)
    this.#revision += 1
    member.permits = answer.permits
    member.quota = answer.quota
    if (!this.#limits.rate) return
    member.running += answer.passing
    const lastAt = read.really + 50
    for (let job = 0; job < answer.passing; job += 1) {
      this.starts.push(job % 2 === amount % 2 ? this.now : lastAt)
    }
  }
}

/** What it has read, and when: by its own clock, and really. */
interface Reading {
  readonly record: LimitRecord
  readonly revision: number
  readonly now: number
  readonly errorMs: number
  readonly ready: number
  readonly running: number
  readonly really: number
}

interface Member {
  readonly id: string
  running: number
  permits: number
  quota: number
  read: Reading | undefined
}

const steps = fc.array(
  fc.tuple(
    fc.constantFrom('pass', 'read', 'read', 'write', 'write', 'begin', 'end', 'crash'),
    fc.nat(2),
    fc.nat(60),
  ),
  { minLength: 50, maxLength: 300 },
)
const errors = fc.array(fc.nat(10), { minLength: 3, maxLength: 3 })

test('no span of perMs has more than `jobs` starts, whoever reads, writes and dies in whatever order', () => {
  fc.assert(
    fc.property(
      steps,
      errors,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 20, max: 400 }),
      (all, off, jobs, perMs) => {
        const fleet = new Fleet(rate(jobs, perMs), off)
        for (const step of all) fleet.step(step)
        const sorted = fleet.starts.sort((a, b) => a - b)
        for (let index = jobs; index < sorted.length; index += 1) {
          const spanMs = sorted[index]! - sorted[index - jobs]!
          assert.ok(spanMs >= perMs, `${jobs + 1} starts within ${spanMs} ms`)
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('never more than maxInFlight run, whoever reads, writes and dies in whatever order', () => {
  fc.assert(
    fc.property(steps, errors, fc.integer({ min: 1, max: 30 }), (all, off, maxInFlight) => {
      const fleet = new Fleet(most(maxInFlight), off)
      for (const step of all) fleet.step(step)
      assert.ok(fleet.most <= maxInFlight, `${fleet.most} of ${maxInFlight}`)
    }),
    { numRuns: 300 },
  )
})

test('a record stays small under a limit of many thousands that are started one by one', () => {
  let record = emptyRecord
  const limits = rate(10_000, 3_600_000)
  for (let job = 0; job < 5_000; job += 1) {
    record = askLimits(record, limits, ask({ ready: 1, now: start + job * 700 })).record
  }
  assert.ok(record.starts.length <= 66, String(record.starts.length))
})
