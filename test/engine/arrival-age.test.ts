import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ArrivalAge } from '#src/engine/arrival-age.js'
import { ackWaitMs, FakeBroker, fakeEngine, Gate, ManualClock } from '../support/fake-engine-parts.ts'

/** A clock that can jump as it does for a process that stood still: its timers are late then. */
class StoppableClock extends ManualClock {
  #stoodMs = 0

  override monotonicMs(): number {
    return super.monotonicMs() + this.#stoodMs
  }

  stand(durationMs: number): void {
    this.#stoodMs += durationMs
  }
}

function createArrivalAge() {
  const clock = new StoppableClock()
  const broker = new FakeBroker()
  const gate = new Gate()
  broker.barrierGate = gate
  let noticed = 0
  const arrivalAge = new ArrivalAge({ broker, clock, ackWaitMs: 8_000 }, () => {
    noticed += 1
  })
  arrivalAge.start()
  return {
    clock,
    gate,
    arrivalAge,
    arrives: () => arrivalAge.sentAfter(clock.monotonicMs()),
    get noticed() {
      return noticed
    },
  }
}

test('what arrives while time goes by as it should was sent now', async () => {
  const { clock, arrives } = createArrivalAge()
  for (let times = 0; times < 20; times += 1) {
    await clock.pass(700)
    assert.equal(arrives(), clock.monotonicMs())
  }
})

test('what arrives after a standstill may be as old as the last tick, until the broker has answered', async () => {
  const world = createArrivalAge()
  const { clock, gate, arrives } = world
  await clock.pass(3_000)
  clock.stand(60_000)
  assert.equal(arrives(), 3_000)
  // The late tick, which comes now, makes nothing new.
  await clock.pass(1_500)
  assert.equal(arrives(), 3_000)
  assert.equal(world.noticed, 0)
  await gate.open()
  assert.equal(arrives(), clock.monotonicMs())
  assert.equal(world.noticed, 1)
})

test('what arrives after a pull that got no answer may be as old as that pull', async () => {
  const { clock, gate, arrivalAge, arrives } = createArrivalAge()
  await clock.pass(5_000)
  arrivalAge.silent(1_500)
  await clock.pass(1_000)
  assert.equal(arrives(), 3_500)
  // A later one changes nothing, nor does time go by for what the network holds.
  arrivalAge.silent(1_500)
  assert.equal(arrives(), 3_500)
  await gate.open()
  assert.equal(arrives(), clock.monotonicMs())
})

test('nothing is older than the question of the last round trip', async () => {
  const { clock, gate, arrivalAge, arrives } = createArrivalAge()
  await clock.pass(5_000)
  arrivalAge.answered(4_200)
  arrivalAge.answered(4_100)
  arrivalAge.silent(1_500)
  assert.equal(arrives(), 4_200)
  // An answer that was asked for before the doubt is not one to it.
  arrivalAge.answered(4_900)
  assert.equal(arrives(), 4_200)
  await gate.open()
  assert.equal(arrives(), clock.monotonicMs())
})

test('a tick notices a standstill before anything arrives', async () => {
  const { clock, gate, arrives } = createArrivalAge()
  await clock.pass(500)
  clock.stand(60_000)
  await clock.pass(500)
  assert.equal(gate.waiting, 1)
  assert.equal(arrives(), 0)
})

test('on a new connection everything is new, whatever the old one still answers', async () => {
  const { clock, gate, arrivalAge, arrives } = createArrivalAge()
  clock.stand(60_000)
  assert.equal(arrives(), 0)
  arrivalAge.reconnected()
  assert.equal(arrives(), clock.monotonicMs())
  await gate.refuse()
  assert.equal(arrives(), clock.monotonicMs())
})

test('a delivery that lay in the socket beyond its lease is let go of, and does not count', async () => {
  const clock = new StoppableClock()
  const { broker, observer, engine, deliver } = fakeEngine({ clock })
  engine.start()
  broker.barrierGate = new Gate()
  clock.stand(ackWaitMs + 5_000)
  assert.equal(await deliver(7), undefined)
  assert.deepEqual(observer.take('leaseLost'), ['leaseLost JOBS:7'])
  assert.deepEqual(broker.take('pull', 'barrier', 'extend'), ['release 7'])
  assert.equal(engine.handlers[0]!.held, 0)
})

test('G4: one of a job that runs here does not count either, whatever becomes of the job', async () => {
  const clock = new StoppableClock()
  const { broker, engine, addLane, deliver, end } = fakeEngine({ clock })
  engine.start()
  const lane = addLane()
  const job = (await deliver(7))!
  lane.begin(job)
  broker.barrierGate = new Gate()
  clock.stand(ackWaitMs + 5_000)
  await deliver(7, { deliveries: 2 })
  assert.deepEqual([job.reply, job.deliveries], ['r7.1', 2])
  await end(lane, job, { kind: 'failed', error: { code: 'handler_error', message: 'no luck' } })
  assert.ok(broker.take().includes('release 7'))
  engine.fromBroker.reconnected()
  assert.equal((await deliver(7, { deliveries: 3 }))!.attempt, 2)
})

test('a delivery that lay there for less keeps what is left of its lease', async () => {
  const clock = new StoppableClock()
  const { broker, engine, deliver } = fakeEngine({ clock })
  engine.start()
  const gate = new Gate()
  broker.barrierGate = gate
  clock.stand(ackWaitMs / 2)
  const job = await deliver(7)
  assert.equal(job?.renewedAt, 0)
  await gate.open()
  assert.deepEqual(broker.take('pull', 'barrier'), ['extend r7.1'])
})
