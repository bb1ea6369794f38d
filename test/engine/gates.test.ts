import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Gate, Gates } from '#src/engine/gates.js'
import type { HandlerState } from '#src/engine/handler-state.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { fakeEngine, handlerState, heldJob } from '../support/fake-engine-parts.ts'

/** A gate that is open or shut as the test says, and notes what it is told. */
class TestGate implements Gate {
  open = false
  readonly waiting = new Set<InFlightJob>()
  readonly told: string[] = []

  enter(job: InFlightJob): boolean {
    if (!this.open) this.waiting.add(job)
    return this.open
  }

  ended(job: InFlightJob): void {
    this.told.push(`ended ${job.sequence}`)
  }

  settled(job: InFlightJob): void {
    this.told.push(`settled ${job.sequence}`)
  }

  remove(job: InFlightJob): void {
    this.waiting.delete(job)
  }

  takeAll(handler?: HandlerState): InFlightJob[] {
    const taken = [...this.waiting].filter((job) => !handler || job.handler === handler)
    for (const job of taken) this.waiting.delete(job)
    return taken
  }
}

function twoGates() {
  const said: string[] = []
  const first = new TestGate()
  const second = new TestGate()
  const gates = new Gates([first, second], {
    parked: (job) => said.push(`parked ${job.sequence}`),
    through: (job) => said.push(`through ${job.sequence}`),
  })
  return { first, second, gates, said }
}

test('a job that nothing holds up goes through without a word', () => {
  const { first, second, gates, said } = twoGates()
  first.open = second.open = true
  assert.equal(gates.enter(heldJob(1)), true)
  assert.deepEqual(said, [])
})

test('a job that is let on by one gate may have to wait at the next, and is parked once at a time', () => {
  const { first, second, gates, said } = twoGates()
  const job = heldJob(1)
  assert.equal(gates.enter(job), false)
  assert.deepEqual([job.waitsAt, job.handler.parked], [first, 1])
  gates.pass(job)
  assert.deepEqual([job.waitsAt, job.handler.parked], [second, 1])
  gates.pass(job)
  assert.deepEqual([job.waitsAt, job.handler.parked], [undefined, 0])
  assert.deepEqual(said, ['parked 1', 'parked 1', 'through 1'])
})

test('what waits can be taken out, one by one, by handler, or all of it', () => {
  const { first, gates } = twoGates()
  const [one, two] = [handlerState({ name: 'one' }), handlerState({ name: 'two' })]
  const jobs = [1, 2, 3, 4].map((sequence) => heldJob(sequence, { handler: sequence < 4 ? one : two }))
  for (const job of jobs) gates.enter(job)
  assert.equal(gates.remove(jobs[0]!), true)
  assert.equal(gates.remove(jobs[0]!), false)
  assert.deepEqual([one.parked, two.parked], [2, 1])
  assert.deepEqual(gates.takeAll(one), [jobs[1], jobs[2]])
  assert.deepEqual(gates.takeAll(), [jobs[3]])
  assert.deepEqual([one.parked, two.parked, first.waiting.size], [0, 0, 0])
})

test('every gate hears that a run is over, and that a job is settled', () => {
  const { first, second, gates } = twoGates()
  gates.ended(heldJob(1))
  gates.settled(heldJob(2))
  assert.deepEqual(first.told, ['ended 1', 'ended 2', 'settled 2'])
  assert.deepEqual(second.told, first.told)
})

test('giving back a handler takes what waits and what was posted in vain, and leaves what runs', async () => {
  const { broker, engine, addLane, deliver } = fakeEngine({ handlers: [{}, { name: 'b' }] })
  const lane = addLane()
  const running = (await deliver(1))!
  lane.begin(running)
  await deliver(2)
  await deliver(3, { handler: 'b' })
  broker.take()
  engine.handlers[0]!.paused = true
  engine.parts.life.beginning.giveBack(engine.handlers[0]!)
  await deliver(4)
  assert.deepEqual(broker.take('pull', 'write'), ['nak r2.1 0', 'nak r4.1 0'])
  assert.deepEqual(
    [...engine.inFlight.all()].map((job) => job.sequence),
    [1, 3],
  )
})
