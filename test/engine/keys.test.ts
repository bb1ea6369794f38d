import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ownerKey } from '#src/core/control-keys.js'
import { decodeOwner, encodeOwner } from '#src/core/owner-record.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { ackWaitMs, type FakeLane, fakeEngine, Gate, settled } from '../support/fake-engine-parts.ts'

const completed = { kind: 'completed' } as const
const failed = { kind: 'failed', error: { code: 'handler_error', message: 'no luck' } } as const
const snoozed = { kind: 'snoozed', delayMs: 300 } as const
const hopeless = { ...failed, steer: { kind: 'permanent' } } as const
const leaseMs = 5_000
const keyed = (key: string) => ({ headers: [['Millrace-Key', key]] as const })
const name = ownerKey('a')
const owner = (supervisor: string, state: 'held' | 'released' | 'over' = 'held') =>
  encodeOwner({ supervisor, state })

/** An engine that owns its handler already, with a thread for several jobs. */
async function ownerEngine(options: Parameters<typeof fakeEngine>[0] = {}) {
  const parts = fakeEngine(options)
  parts.shared.put(name, owner('earlier', 'released'))
  parts.engine.start()
  const lane = parts.addLane({ concurrency: 10 })
  await parts.clock.pass(200)
  assert.deepEqual(parts.observer.take(), ['handlerOwned a released'])
  return { ...parts, lane, posted: () => lane.jobs().map((job) => job.sequence) }
}

test('the next of a key begins when the one before is settled; other keys and jobs without one go on', async () => {
  const { lane, posted, deliver, end, engine } = await ownerEngine()
  const [first] = [
    (await deliver(1, keyed('k')))!,
    await deliver(2, keyed('k')),
    await deliver(3, keyed('k')),
  ]
  await deliver(4, keyed('other'))
  await deliver(5)
  assert.deepEqual(posted(), [1, 4, 5])
  assert.equal(engine.handlers[0]!.parked, 2)
  lane.begin(first)
  await end(lane, first, completed)
  assert.deepEqual(posted(), [4, 5, 2])
  assert.equal(engine.handlers[0]!.parked, 1)
})

/** A job with a key has failed, and that its next attempt begins is being written to its record. */
async function nextIsNoted() {
  const parts = await ownerEngine()
  const { broker, clock, lane, deliver, end } = parts
  const job = (await deliver(1, keyed('k')))!
  lane.begin(job)
  await end(lane, job, failed)
  const writeGate = new Gate()
  broker.writeGate = writeGate
  await clock.pass(1_000)
  return { ...parts, job, writeGate }
}

test('G4: what comes again while the next attempt of a key is noted does not count', async () => {
  const { broker, clock, lane, deliver, end, job, writeGate } = await nextIsNoted()
  await deliver(1, { ...keyed('k'), deliveries: 2 })
  await writeGate.open()
  await clock.pass(1)
  assert.deepEqual([job.record.repeats, job.record.released], [1, 1])
  lane.begin(job)
  job.leaseLost = true
  await end(lane, job, failed)
  await settled()
  const { repeats, released } = broker.records.get(1)!
  assert.deepEqual([repeats, released], [1, 1])
})

test('G4: an attempt of a key that is noted, and does not begin because the lease is lost, does not count', async () => {
  const { broker, clock, job, writeGate } = await nextIsNoted()
  broker.barrierGate = new Gate()
  await clock.pass(2 * ackWaitMs)
  assert.ok(job.leaseLost)
  await writeGate.open()
  await settled()
  const { repeats, released, failures } = broker.records.get(1)!
  assert.deepEqual([repeats, released, failures], [1, 1, 1])
})

test('a failed attempt keeps its delivery, its place and its count until the next one', async () => {
  const { broker, clock, lane, posted, deliver, end, observer } = await ownerEngine()
  const [job] = [(await deliver(1, keyed('k')))!, await deliver(2, keyed('k'))]
  lane.begin(job)
  broker.take()
  await end(lane, job, failed)
  assert.deepEqual(broker.take('pull'), ['write 1 released=0 failures=1'])
  assert.equal(broker.records.get(1)!.notBefore, clock.now() + 1_000)
  assert.deepEqual(observer.take('retrying', 'settled'), [
    'retrying JOBS:1 delay=1000 handler_error',
    'settled JOBS:1 retry',
  ])
  await clock.pass(999)
  assert.deepEqual(posted(), [])
  await clock.pass(1)
  assert.deepEqual(posted(), [1])
  assert.equal(job.attempt, 2)
  assert.equal(broker.records.get(1)!.repeats, 1, 'a crash now is an attempt of its own')
  assert.equal(broker.records.get(1)!.notBefore, undefined)
  lane.begin(job)
  await end(lane, job, snoozed)
  await clock.pass(300)
  assert.equal(job.attempt, 2, 'a snooze does not count')
  lane.begin(job)
  await end(lane, job, failed)
  await clock.pass(2_000)
  lane.begin(job)
  await end(lane, job, failed)
  assert.deepEqual(observer.take('deadLettered'), ['deadLettered JOBS:1 exhausted handler_error'])
  assert.deepEqual(posted(), [2])
})

test('a job that waits out its backoff is given back uncharged, and whoever has it next waits the rest', async () => {
  const { broker, clock, lane, deliver, end, engine } = await ownerEngine()
  const job = (await deliver(1, keyed('k')))!
  lane.begin(job)
  await end(lane, job, failed)
  broker.take()
  const report = engine.drain({
    drainMs: 0,
    hurry: new Promise(() => {}),
    pullsEnded: Promise.resolve(),
  })
  await clock.pass(5_000)
  await report
  assert.deepEqual(
    broker.take().filter((call) => /^(nak|write|release)/.test(call)),
    ['write 1 released=0 failures=1', 'nak r1.1 0'],
  )
  const next = await ownerEngine()
  next.broker.records.set(1, { ...broker.records.get(1)!, notBefore: next.clock.now() + 700 })
  const again = (await next.deliver(1, { ...keyed('k'), deliveries: 2 }))!
  await next.deliver(2, keyed('k'))
  assert.equal(again.attempt, 2)
  assert.ok(!again.suspect)
  await next.clock.pass(699)
  assert.deepEqual(next.posted(), [])
  await next.clock.pass(1)
  assert.deepEqual(next.posted(), [1])
})

test('a redelivered job has its place while its record is being read', async () => {
  const { broker, posted, deliver } = await ownerEngine()
  broker.readGate = new Gate()
  broker.records.set(1, { released: 1, failures: 0, history: [] })
  await deliver(1, { ...keyed('k'), deliveries: 2 })
  await deliver(2, keyed('k'))
  assert.deepEqual(posted(), [])
  await broker.readGate.open()
  assert.deepEqual(posted(), [1])
})

test('a suspect at the head of its key waits for other suspects, and only its key waits for it', async () => {
  const { clock, lane, posted, deliver, end } = await ownerEngine()
  const [one] = [(await deliver(1, { ...keyed('k'), deliveries: 2 }))!]
  await deliver(2, { ...keyed('k'), deliveries: 2 })
  await deliver(3, { ...keyed('l'), deliveries: 2 })
  await deliver(4, keyed('l'))
  await deliver(5, keyed('m'))
  assert.deepEqual(posted(), [5])
  await clock.pass(200)
  assert.deepEqual(posted(), [5, 1])
  lane.begin(one)
  await end(lane, one, completed)
  await clock.pass(200)
  assert.deepEqual(posted(), [5, 3])
})

test('who waits for long is marked, so that a crash of the process is not its attempt', async () => {
  const { broker, clock, lane, posted, deliver, end } = await ownerEngine()
  const [first] = [(await deliver(1, keyed('k')))!, await deliver(2, keyed('k'))]
  lane.begin(first)
  await clock.pass(4_100)
  assert.equal(broker.records.get(2)!.released, 1)
  assert.equal(broker.records.has(1), false)
  await end(lane, first, completed)
  assert.deepEqual(posted(), [2])
  assert.equal(broker.records.get(2)!.released, 0)
})

test('the first keyed job makes a supervisor the owner; nothing keyed begins while others may have some', async () => {
  const { broker, clock, deliver, engine, observer, shared, addLane } = fakeEngine()
  broker.outstanding = () => ({ deliveries: 2, otherPulls: 1 })
  engine.start()
  const lane = addLane({ concurrency: 10 })
  await settled()
  assert.equal(shared.peek(name), undefined)
  await deliver(1, keyed('k'))
  await deliver(2)
  assert.equal(shared.peek(name), owner('s1'))
  assert.deepEqual(observer.take('handlerOwned'), ['handlerOwned a unowned'])
  await clock.pass(1_000)
  assert.deepEqual(
    lane.jobs().map((job) => job.sequence),
    [2],
  )
  broker.outstanding = () => ({ deliveries: 2, otherPulls: 0 })
  await clock.pass(300)
  assert.deepEqual(
    lane.jobs().map((job) => job.sequence),
    [2, 1],
  )
})

test('what never becomes quiet holds keyed jobs back for three seconds and the grace', async () => {
  const { broker, clock, deliver, engine, addLane } = fakeEngine()
  broker.outstanding = () => ({ deliveries: 9, otherPulls: 0 })
  engine.start()
  const lane = addLane()
  await deliver(1, keyed('k'))
  await clock.pass(3_400)
  assert.equal(lane.jobs().length, 0)
  await clock.pass(200)
  assert.equal(lane.jobs().length, 1)
})

test('on stand-by nothing is pulled, nothing unbegun is kept, and jobs without a key finish', async () => {
  const { broker, clock, deliver, engine, end, addLane, observer, shared } = fakeEngine()
  engine.start()
  const lane = addLane({ concurrency: 10 })
  const running = (await deliver(1))!
  lane.begin(running)
  await deliver(2)
  broker.take()
  shared.put(name, owner('s2'))
  await settled()
  assert.deepEqual(observer.take('handlerOnStandby'), ['handlerOnStandby a s2'])
  assert.deepEqual(broker.take(), ['write 2 released=1 failures=0', 'nak r2.1 0'])
  await end(lane, running, completed)
  await clock.pass(leaseMs - 1_000)
  assert.deepEqual(
    broker.take().filter((call) => call.startsWith('pull')),
    [],
  )
  assert.deepEqual([...engine.parts.owners.standing()], [['a', 0]])
})

test('an owner that falls silent is followed after a lease, one that stopped at once', async () => {
  for (const [state, waitMs, claim] of [
    ['held', leaseMs, 'silent'],
    ['released', 0, 'released'],
  ] as const) {
    const { clock, engine, observer, shared } = fakeEngine()
    shared.put(name, owner('s2'))
    engine.start()
    await clock.pass(leaseMs - 100)
    shared.put(name, owner('s2'))
    await clock.pass(leaseMs - 100)
    assert.deepEqual(observer.take('handlerOwned'), [], 'it was renewed')
    if (state === 'released') shared.put(name, owner('s2', state))
    await clock.pass(waitMs)
    assert.deepEqual(observer.take('handlerOwned'), [`handlerOwned a ${claim}`])
    assert.equal(shared.peek(name), owner('s1'))
  }
})

test('an owner that cannot renew gives back what has not begun and ends what runs before anyone follows', async () => {
  const { broker, clock, lane, deliver, shared, engine, endLane } = await ownerEngine()
  const [running] = [(await deliver(1, keyed('k')))!, await deliver(2, keyed('k'))]
  lane.begin(running)
  shared.error = new Error('the bucket cannot be reached')
  broker.take()
  await clock.pass(leaseMs)
  assert.deepEqual(lane.aborted, [{ job: running, code: 'lease_lost' }])
  assert.ok(broker.take().includes('nak r2.1 0'))
  assert.ok(engine.handlers[0]!.standby)
  await clock.pass(500)
  assert.equal(lane.endReason, 'lease_lost')
  await endLane(lane)
  assert.ok(broker.take().includes('nak r1.1 0'))
  shared.error = undefined
  await clock.pass(1_000)
  assert.ok(!engine.handlers[0]!.standby, 'nobody followed, so it is the owner again')
})

test('after five minutes without a keyed job the handler is everybody’s, until the next one', async () => {
  const { clock, lane, deliver, end, shared, engine, posted } = await ownerEngine()
  const job = (await deliver(1, keyed('k')))!
  lane.begin(job)
  await end(lane, job, completed)
  await clock.pass(5 * 60_000 + leaseMs)
  assert.equal(shared.peek(name), owner('s1', 'over'))
  assert.deepEqual([...engine.parts.owners.standing()], [])
  await deliver(2, keyed('k'))
  await clock.pass(300)
  assert.equal(shared.peek(name), owner('s1'))
  assert.deepEqual(posted(), [2])
})

test('a stop releases a handler once nothing of it is held', async () => {
  const { clock, lane, deliver, end, engine, shared } = await ownerEngine()
  const job = (await deliver(1, keyed('k')))!
  lane.begin(job)
  engine.handlers[0]!.sources.normal.credit = 0
  void engine.drain({ drainMs: 20_000, hurry: new Promise(() => {}), pullsEnded: Promise.resolve() })
  await clock.pass(3_000)
  assert.equal(shared.peek(name), owner('s1'))
  await end(lane, job, completed)
  await clock.pass(100)
  assert.equal(shared.peek(name), owner('s1', 'released'))
})

/** A broker that hands jobs out again in any order it likes, and witnesses what begins. */
class Witness {
  readonly #parts: Awaited<ReturnType<typeof ownerEngine>>
  readonly #keys: readonly string[]
  readonly #again: number[] = []
  readonly #deliveries = new Map<number, number>()
  readonly #done = new Set<number>()
  readonly #latestBegun = new Map<string, number>()
  #next = 1

  constructor(parts: Awaited<ReturnType<typeof ownerEngine>>, keys: readonly string[]) {
    this.#parts = parts
    this.#keys = keys
    parts.broker.outstanding = () => {
      this.hear()
      return { deliveries: this.#deliveries.size - this.#done.size, otherPulls: 0 }
    }
  }

  get isOver(): boolean {
    return this.#done.size === this.#keys.length
  }

  /** Where everything is, for a failure that does not come again. */
  get story(): string {
    const { engine, lane, clock, shared } = this.#parts
    const { parked, paused, halted } = engine.handlers[0]!
    const jobs = lane
      .jobs()
      .map((job) => `${job.sequence} ${lane.startedAt(job) === undefined ? 'posted' : 'begun'}`)
    const deliveries = [...this.#deliveries].map(([sequence, times]) => `${sequence}x${times}`)
    return (
      `done ${[...this.#done]}; delivered ${deliveries}; to come again ${this.#again}; on the thread ${jobs}; ` +
      `parked ${parked}, paused ${paused}, halted ${halted}; ${clock.timers} timers, the next at ${clock.nextAt}, ` +
      `now ${clock.monotonicMs()}; the owner is ${shared.peek(name)}`
    )
  }

  hear(): void {
    for (const call of this.#parts.broker.take()) {
      const [, verb, sequence] = /^(ack|nak) r(\d+)\./.exec(call) ?? []
      if (verb === 'ack') this.#done.add(Number(sequence))
      else if (verb === 'nak') this.#again.push(Number(sequence))
    }
  }

  async deliver(chance: number): Promise<void> {
    this.hear()
    if (this.#parts.engine.handlers[0]!.halted) return
    const sequence =
      this.#again.length > 0 ? this.#again.splice(chance % this.#again.length, 1)[0]! : this.#next++
    if (sequence > this.#keys.length) return
    const deliveries = (this.#deliveries.get(sequence) ?? 0) + 1
    this.#deliveries.set(sequence, deliveries)
    await this.#parts.deliver(sequence, { ...keyed(this.#keys[sequence - 1]!), deliveries })
  }

  begin(lane: FakeLane, chance: number): void {
    // A real thread would have reported something by now.
    lane.stalled = false
    const unbegun = lane.jobs().filter((job) => lane.startedAt(job) === undefined)
    const job = unbegun[chance % Math.max(1, unbegun.length)]
    if (!job) return
    const rivals = lane.jobs().filter((other) => lane.startedAt(other) !== undefined && other.key === job.key)
    assert.deepEqual(
      rivals.map((other) => other.sequence),
      [],
      `${job.sequence} begins beside another of its key`,
    )
    const latest = this.#latestBegun.get(job.key!) ?? 0
    assert.ok(job.sequence >= latest, `${job.sequence} begins after ${latest}`)
    this.#latestBegun.set(job.key!, job.sequence)
    lane.begin(job)
  }
}

test('whatever happens, jobs of a key never overlap, never overtake, and all end', async () => {
  const acts = fc.array(fc.tuple(fc.constantFrom(...'ddddbbbbbeeetgpro'), fc.nat(1_000)), {
    maxLength: 150,
    size: 'max',
  })
  const keys = fc.array(fc.constantFrom('k', 'l', 'm'), { minLength: 5, maxLength: 25, size: 'max' })
  await fc.assert(
    fc.asyncProperty(keys, acts, async (keysOfJobs, actions) => {
      const parts = await ownerEngine()
      const { clock, engine, lane, shared } = parts
      const witness = new Witness(parts, keysOfJobs)
      const begun = (): InFlightJob[] => lane.jobs().filter((job) => lane.startedAt(job) !== undefined)
      const act = async (what: string, chance: number): Promise<void> => {
        const [handler] = engine.handlers
        if (what === 'd') await witness.deliver(chance)
        else if (what === 'b') witness.begin(lane, chance)
        else if (what === 'e' && begun().length > 0) {
          const outcome = [completed, completed, failed, snoozed, hopeless][chance % 5]!
          await parts.end(lane, begun()[chance % begun().length]!, outcome)
        } else if (what === 't') await clock.pass(chance)
        else if (what === 'p') {
          handler!.paused = true
          engine.parts.life.beginning.giveBack(handler!)
          await settled()
        } else if (what === 'r') handler!.paused = false
        else if (what === 'o') {
          shared.put(name, owner('s2'))
          await settled()
          // What is told to end does.
          for (const { job } of lane.aborted.splice(0))
            if (lane.jobs().includes(job)) await parts.end(lane, job, failed)
        }
      }
      for (const [what, chance] of actions) await act(what, chance)
      await act('r', 0)
      for (let rounds = 0; rounds < 2_000 && !witness.isOver; rounds += 1) {
        await act('d', rounds)
        await act('b', rounds)
        for (const job of begun()) await parts.end(lane, job, completed)
        if (rounds % 10 === 9) await clock.pass(2_000)
        witness.hear()
      }
      assert.ok(witness.isOver, witness.isOver ? '' : `some never ended: ${witness.story}`)
    }),
    {
      numRuns: 100,
      // A job is taken back from a thread that reports nothing, and posted again when it does.
      examples: [
        [
          ['l', 'k', 'k', 'k', 'k', 'k'],
          [
            ['d', 0],
            ['b', 0],
            ['d', 0],
            ['t', 30],
            ['e', 0],
          ],
        ],
      ],
    },
  )
})

test('nothing overtakes a job whose run was cut short, however slowly it goes back', async () => {
  const { broker, clock, lane, deliver, shared, engine, endLane, addLane } = await ownerEngine()
  const running = (await deliver(1, keyed('k')))!
  lane.begin(running)
  shared.error = new Error('the bucket cannot be reached')
  await clock.pass(leaseMs + 500)
  broker.writeGate = new Gate()
  await endLane(lane)
  shared.error = undefined
  broker.outstanding = () => ({ deliveries: 1, otherPulls: 0 })
  const otherLane = addLane({ concurrency: 10 })
  await clock.pass(1_000)
  assert.ok(!engine.handlers[0]!.halted, 'it is the owner again')
  await deliver(2, keyed('k'))
  await clock.pass(1_000)
  broker.outstanding = () => ({ deliveries: 3, otherPulls: 0 })
  assert.equal(broker.writeGate.waiting, 1)
  await broker.writeGate.open()
  broker.writeGate = undefined
  const next = (await deliver(3, keyed('l')))!
  await clock.pass(300)
  assert.ok(next.waitsAt, 'the gate is closed until the first has come again')
  await deliver(1, { ...keyed('k'), deliveries: 2 })
  await clock.pass(300)
  assert.deepEqual(
    otherLane.jobs().map((job) => job.sequence),
    [1, 3],
  )
})

test('nothing overtakes a job that was turned away at the door and is on its way back', async () => {
  const { broker, clock, deliver, engine, posted } = await ownerEngine()
  const [handler] = engine.handlers
  handler!.paused = true
  broker.writeGate = new Gate()
  await deliver(1, keyed('k'))
  handler!.paused = false
  await deliver(2, keyed('k'))
  assert.deepEqual(posted(), [])
  broker.outstanding = () => ({ deliveries: 2, otherPulls: 0 })
  await broker.writeGate.open()
  broker.writeGate = undefined
  await clock.pass(300)
  assert.deepEqual(posted(), [])
  await deliver(1, { ...keyed('k'), deliveries: 2 })
  await clock.pass(300)
  assert.deepEqual(posted(), [1])
})

test('a lost lease closes the gate until what was lost has come again', async () => {
  const { broker, clock, deliver, engine, lane } = await ownerEngine()
  await deliver(1, keyed('k'))
  const parked = (await deliver(2, keyed('k')))!
  broker.outstanding = () => ({ deliveries: 3, otherPulls: 0 })
  lane.begin(lane.jobs()[0]!)
  engine.parts.life.interruption.leaseLost(parked)
  await settled()
  const other = (await deliver(3, keyed('l')))!
  await clock.pass(1_000)
  assert.ok(other.waitsAt, 'the gate is closed for all keys')
  broker.records.set(2, { released: 1, failures: 0, history: [] })
  const again = (await deliver(2, { ...keyed('k'), deliveries: 2 }))!
  await clock.pass(300)
  assert.equal(other.waitsAt, undefined)
  assert.ok(again.waitsAt, 'the first of its key still runs')
})

test('what a killed broker may have forgotten does not stand for a job that is elsewhere', async () => {
  const { broker, clock, deliver, engine, lane } = await ownerEngine()
  await deliver(1, keyed('k'))
  const parked = (await deliver(2, keyed('k')))!
  lane.begin(lane.jobs()[0]!)
  await clock.pass(10)
  engine.fromBroker.reconnected()
  // It knows of the second job, which somebody else may get, and of the third; of the first it knows nothing.
  broker.outstanding = () => ({ deliveries: 2, otherPulls: 0 })
  engine.parts.life.interruption.leaseLost(parked)
  await settled()
  const other = (await deliver(3, keyed('l')))!
  await clock.pass(1_000)
  assert.ok(other.waitsAt, 'the gate is closed')
  await deliver(2, { ...keyed('k'), deliveries: 2 })
  await clock.pass(300)
  assert.equal(other.waitsAt, undefined)
})

test('an owner whose threads do not get ready lets go of the handler, and takes it again when one is', async () => {
  const { broker, clock, shared, observer, lane, deliver, addLane, endLane } = await ownerEngine()
  const record = async () => decodeOwner((await shared.read(name)).value)
  await deliver(1, keyed('k'))
  await endLane(lane)
  await clock.pass(ackWaitMs + leaseMs)
  assert.deepEqual(broker.take('pull', 'barrier', 'extend'), ['write 1 released=1 failures=0', 'nak r1.1 0'])
  assert.deepEqual(await record(), { supervisor: 's1', state: 'released' })
  await clock.pass(3 * leaseMs)
  assert.deepEqual(await record(), { supervisor: 's1', state: 'released' })
  assert.deepEqual(observer.take('handlerOwned', 'handlerOnStandby'), [])
  const next = addLane({ concurrency: 10 })
  await clock.pass(leaseMs)
  assert.deepEqual(await record(), { supervisor: 's1', state: 'held' })
  const again = (await deliver(1, { ...keyed('k'), deliveries: 2 }))!
  await clock.pass(leaseMs)
  assert.deepEqual(next.jobs(), [again])
  assert.equal(again.attempt, 1)
})
