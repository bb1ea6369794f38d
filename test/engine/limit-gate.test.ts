import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseRecord } from '#src/core/limits.js'
import type { Clock } from '#src/engine/clock-port.js'
import type { HandlerProfile } from '#src/engine/handler-profile.js'
import type { HandlerState } from '#src/engine/handler-state.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { LimitGate } from '#src/engine/limit-gate.js'
import type { SharedState } from '#src/engine/shared-state-port.js'
import {
  ackWaitMs,
  FakeObserver,
  handlerState,
  heldJob,
  ManualClock,
  settled,
} from '../support/fake-engine-parts.ts'
import { FakeSharedState } from '../support/fake-shared-state.ts'

const key = 'limits.a'

/** One supervisor's gate over a record that others may share; its jobs last until they are ended. */
class Member {
  readonly observer = new FakeObserver()
  readonly handler: HandlerState
  readonly gate: LimitGate
  readonly running = new Set<InFlightJob>()
  readonly clock: Clock
  /** A dead one does nothing more. */
  isDead = false
  /** Threads are busy: what passes does not begin. */
  isBusy = false
  readonly #onStart: (job: InFlightJob) => void
  #sequence = 0

  constructor(
    id: string,
    clock: ManualClock,
    shared: SharedState,
    limits: Partial<HandlerProfile>,
    onStart: (job: InFlightJob) => void = () => {},
    random: () => number = () => 0.5,
  ) {
    this.#onStart = onStart
    this.handler = handlerState({ pool: 'io', ...limits })
    this.clock = {
      now: () => clock.now(),
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, callback) => clock.after(delayMs, () => this.isDead || callback()),
    }
    this.gate = new LimitGate({
      shared,
      clock: this.clock,
      random,
      observer: this.observer,
      supervisorId: id,
      ackWaitMs,
      handlers: [this.handler],
      rooms: new Map([['io', { threads: 1, concurrency: 100 }]]),
      pass: (job) => this.start(job),
    })
  }

  /** So many jobs arrive. */
  arrive(count = 1): InFlightJob[] {
    return Array.from({ length: count }, () => {
      this.#sequence += 1
      const job = heldJob(this.#sequence, { handler: this.handler })
      if (this.gate.enter(job)) this.start(job)
      return job
    })
  }

  start(job: InFlightJob): void {
    if (this.isDead) return
    this.running.add(job)
    if (!this.isBusy) this.gate.started(job, this.clock.monotonicMs())
    this.#onStart(job)
  }

  end(...jobs: InFlightJob[]): void {
    for (const job of jobs) {
      this.running.delete(job)
      this.gate.ended(job)
    }
  }

  die(): void {
    this.isDead = true
    this.running.clear()
  }
}

function createMember(limits: Partial<HandlerProfile>, aheadMs = 0) {
  const clock = new ManualClock()
  const shared = new FakeSharedState(clock, aheadMs)
  const member = new Member('s1', clock, shared, limits)
  return { clock, shared, member, record: () => parseRecord(shared.entries.get(key)?.value) }
}

test('a handler without limits has nothing to do with any of this', async () => {
  const { clock, shared, member } = createMember({})
  member.arrive(1_000)
  assert.equal(member.running.size, 1_000)
  await clock.pass(10_000)
  assert.deepEqual(shared.take(), [])
  assert.equal(clock.timers, 0)
})

test('what arrives together asks together, and what is too much waits for the next span', async () => {
  const { clock, shared, member } = createMember({ rateLimit: { jobs: 30, perMs: 1_000 } })
  member.arrive(70)
  assert.equal(member.running.size, 0)
  await clock.pass(20)
  assert.equal(member.running.size, 30)
  assert.ok(shared.take().length <= 6, 'two to measure the clock, two to take')
  assert.deepEqual(member.observer.take(), ['limitWaits a 40'])
  await clock.pass(1_000)
  assert.equal(member.running.size, 30)
  await clock.pass(80)
  assert.equal(member.running.size, 60)
  await clock.pass(1_070)
  assert.equal(member.running.size, 70)
  assert.deepEqual(member.observer.take(), [])
})

test("the broker's clock may be hours away from ours", async () => {
  const { clock, member } = createMember({ rateLimit: { jobs: 2, perMs: 1_000 } }, -5 * 3_600_000)
  member.arrive(4)
  await clock.pass(20)
  assert.equal(member.running.size, 2)
  await clock.pass(1_080)
  assert.equal(member.running.size, 4)
})

test('a permit goes to the next job here without asking', async () => {
  const { clock, shared, member } = createMember({ maxInFlight: 2 })
  const jobs = member.arrive(12)
  await clock.pass(20)
  assert.deepEqual([...member.running], jobs.slice(0, 2))
  shared.take()
  for (let job = 0; job < 10; job += 1) {
    member.end(jobs[job]!)
    await settled()
    assert.deepEqual([...member.running], jobs.slice(job + 1, job + 3))
  }
  assert.deepEqual(shared.take(), [])
})

test('permits that nobody uses go back, and then nothing is asked any more', async () => {
  const { clock, shared, member, record } = createMember({ maxInFlight: 5 })
  member.arrive(3)
  await clock.pass(20)
  assert.equal(record().inFlight.get('s1')?.permits, 3)
  member.end(...member.running)
  await clock.pass(400)
  assert.equal(record().inFlight.size, 0)
  shared.take()
  await clock.pass(60_000)
  assert.deepEqual(shared.take(), [])
})

test('a job that was interrupted passes again without another start', async () => {
  const { clock, member } = createMember({ rateLimit: { jobs: 1, perMs: 60_000 } })
  const [job] = member.arrive()
  await clock.pass(20)
  assert.ok(member.running.has(job!))
  assert.equal(member.gate.enter(job!), true)
  const [next] = member.arrive()
  await clock.pass(1_000)
  assert.ok(!member.running.has(next!))
})

test('while the record cannot be reached nothing is started, it is said, and it goes on by itself', async () => {
  const { clock, shared, member } = createMember({ maxInFlight: 3 })
  shared.error = new Error('no bucket')
  member.arrive(5)
  await clock.pass(5_000)
  assert.equal(member.running.size, 0)
  assert.ok(member.observer.take('limitUnavailable').length > 2)
  shared.error = undefined
  await clock.pass(1_100)
  assert.equal(member.running.size, 3)
})

test('permits that may be void by now start nothing', async () => {
  const { clock, shared, member } = createMember({ maxInFlight: 2 })
  const jobs = member.arrive(9)
  await clock.pass(20)
  shared.error = new Error('cut off')
  await clock.pass(ackWaitMs / 2)
  member.end(jobs[0]!)
  await settled()
  assert.ok(member.running.has(jobs[2]!), 'they are still ours')
  await clock.pass(ackWaitMs / 2)
  member.end(jobs[1]!)
  await clock.pass(100)
  assert.ok(!member.running.has(jobs[3]!))
  shared.error = undefined
  await clock.pass(1_100)
  assert.ok(member.running.has(jobs[3]!))
})

test('a stop gives everything back', async () => {
  const { clock, member, record } = createMember({ maxInFlight: 5 })
  const jobs = member.arrive(9)
  await clock.pass(20)
  assert.deepEqual(member.gate.takeAll(member.handler), jobs.slice(5))
  member.end(...member.running)
  await member.gate.stop()
  assert.equal(record().inFlight.size, 0)
  assert.equal(clock.timers, 0)
})

test('a record that is garbage is written anew', async () => {
  const { clock, shared, member } = createMember({ maxInFlight: 5 })
  await shared.set(key, '{"starts":7')
  member.arrive(9)
  await clock.pass(20)
  assert.equal(member.running.size, 5)
})

test('the permits of a dead supervisor are void after ack wait, and not before', async () => {
  const clock = new ManualClock()
  const shared = new FakeSharedState(clock)
  const [one, two] = ['s1', 's2'].map((id) => new Member(id, clock, shared, { maxInFlight: 4 }))
  one!.arrive(10)
  await clock.pass(20)
  assert.equal(one!.running.size, 4)
  one!.die()
  two!.arrive(10)
  await clock.pass(ackWaitMs)
  assert.equal(two!.running.size, 0)
  await clock.pass(5_000)
  assert.equal(two!.running.size, 4)
})

test('a slow broker costs starts, never the limit, and soon grants are made for longer', async () => {
  const { clock, shared, member } = createMember({ rateLimit: { jobs: 10, perMs: 1_000 } })
  shared.writeMs = 300
  member.arrive(60)
  await clock.pass(12_000)
  assert.ok(member.running.size >= 50, String(member.running.size))
})

test('a start that was granted too late for its time is not used', async () => {
  const { clock, shared, member } = createMember({ rateLimit: { jobs: 10, perMs: 1_000 } })
  member.arrive(30)
  await clock.pass(1_000)
  assert.equal(member.running.size, 10)
  shared.writeMs = 300
  await clock.pass(1_300)
  assert.equal(member.running.size, 10, 'the answer came after 300 ms, for starts within 50 ms')
  await clock.pass(200)
  assert.equal(member.running.size, 20)
})

test('a job that began late takes its place in the window there', async () => {
  const { clock, member } = createMember({ rateLimit: { jobs: 1, perMs: 1_000 } })
  member.isBusy = true
  const [job] = member.arrive(2)
  await clock.pass(700)
  assert.equal(member.running.size, 1)
  member.gate.started(job!, clock.monotonicMs())
  await clock.pass(1_000)
  assert.equal(member.running.size, 1)
  await clock.pass(80)
  assert.equal(member.running.size, 2)
})

test('a job that has not begun at all lets no other take its place in the window', async () => {
  const { clock, member } = createMember({ rateLimit: { jobs: 1, perMs: 1_000 } })
  member.isBusy = true
  const [job] = member.arrive(2)
  await clock.pass(5_000)
  assert.equal(member.running.size, 1)
  member.gate.started(job!, clock.monotonicMs())
  await clock.pass(1_200)
  assert.equal(member.running.size, 2)
})

test('while permits are on their way back nothing starts on them', async () => {
  const { clock, shared, member } = createMember({ maxInFlight: 5 })
  member.arrive(5)
  await clock.pass(20)
  shared.writeMs = 100
  shared.take()
  member.end(...member.running)
  while (!shared.calls.includes(`write ${key}`)) await clock.pass(10)
  member.arrive(5)
  assert.equal(member.running.size, 0)
  await clock.pass(400)
  assert.equal(member.running.size, 5)
})

/** A fixed sequence that looks like chance. */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state / 2_147_483_648
  }
}

/** Three supervisors with more work than they may do, jobs of some random milliseconds, and one that dies. */
async function runFleet(limits: Partial<HandlerProfile>, durationMs: number, seed: number) {
  const clock = new ManualClock()
  const shared = new FakeSharedState(clock)
  const random = chance(seed)
  shared.writeMs = 3
  const starts: number[] = []
  const counts = new Map<string, number>()
  let most = 0
  const members: Member[] = []
  const born = (id: string): Member => {
    const member: Member = new Member(
      id,
      clock,
      shared,
      limits,
      (job) => {
        starts.push(clock.monotonicMs())
        counts.set(id, (counts.get(id) ?? 0) + 1)
        most = Math.max(
          most,
          members.reduce((sum, { running }) => sum + running.size, 0),
        )
        clock.after(random() * 60, () => {
          if (member.isDead) return
          member.end(job)
          member.arrive()
        })
      },
      random,
    )
    return member
  }
  members.push(born('s1'), born('s2'), born('s3'))
  for (const member of members) member.arrive(20)
  await clock.pass(durationMs / 2)
  members[0]!.die()
  members[0] = born('s4')
  members[0].arrive(20)
  await clock.pass(durationMs / 2)
  return { starts, most, counts }
}

test('several supervisors together keep to maxInFlight, use it, and none is left out', async () => {
  for (const [maxInFlight, seed] of [
    [7, 1],
    [1, 2],
    [30, 3],
  ] as const) {
    const { starts, most, counts } = await runFleet({ maxInFlight }, 8_000, seed)
    assert.equal(most, maxInFlight)
    assert.ok(starts.length > 8 * maxInFlight * 10, `${starts.length} starts`)
    for (const id of ['s1', 's2', 's3'])
      assert.ok((counts.get(id) ?? 0) > starts.length / 20, `${id}: ${counts.get(id)}`)
  }
})

test('several supervisors together keep to a rate, use it, and none is left out', async () => {
  for (const [jobs, perMs, seed] of [
    [10, 200, 1],
    [1, 50, 2],
    [25, 1_000, 3],
  ] as const) {
    const durationMs = 8_000
    const { starts, counts } = await runFleet({ rateLimit: { jobs, perMs } }, durationMs, seed)
    for (let index = jobs; index < starts.length; index += 1) {
      assert.ok(
        starts[index]! - starts[index - jobs]! >= perMs,
        `${jobs + 1} starts in less than ${perMs} ms`,
      )
    }
    assert.ok(starts.length > ((durationMs / perMs) * jobs) / 2, `${starts.length} starts`)
    for (const id of ['s1', 's2', 's3'])
      assert.ok((counts.get(id) ?? 0) > starts.length / 20, `${id}: ${counts.get(id)}`)
  }
})
