import assert from 'node:assert/strict'

/** A delivery, as far as rules go. */
export interface RuledDelivery {
  readonly sequence: number
  readonly deliveries: number
  readonly reply: string
}

/** A broker whose rules are looked at: one stream of jobs with one consumer, a stream of records and a bucket. */
export interface RuledBroker {
  readonly ackWaitMs: number
  /** Stores a job and returns its place. */
  enqueue(): Promise<number>
  /** The next job, waited for so long; undefined when none came. */
  next(withinMs: number): Promise<RuledDelivery | undefined>
  /** Answers a delivery; resolves when the broker has taken note. */
  answer(delivery: RuledDelivery, answer: string): Promise<void>
  /** How many jobs nobody has acked. */
  jobs(): Promise<number>
  /** Lets time pass while nobody asks for a job. */
  pass(durationMs: number): Promise<void>
  /** Stores a record under a message id. */
  publishRecord(id: string): Promise<{ readonly sequence: number; readonly duplicate: boolean }>
  get(key: string): Promise<{ readonly value: string; readonly revision: number } | undefined>
  put(key: string, value: string): Promise<number>
  /** Undefined when the entry is not at this revision. */
  update(key: string, value: string, revision: number): Promise<number | undefined>
  purge(key: string): Promise<void>
  kill(): Promise<void>
}

type Rule = (broker: RuledBroker) => Promise<void>

/** A moment: what is there at once has arrived by then. */
const soonMs = 250

async function take(broker: RuledBroker, withinMs = 5_000): Promise<RuledDelivery> {
  const delivery = await broker.next(withinMs)
  assert.ok(delivery, 'nothing came')
  return delivery
}

async function takeNothing(broker: RuledBroker, withinMs = soonMs): Promise<void> {
  assert.equal(await broker.next(withinMs), undefined)
}

/** What the engine, and the model of the protocol, take for granted of a broker; one function for each rule. */
export const brokerRules: Record<string, Rule> = {
  async 'jobs are handed out in order, each once'(broker) {
    const [first, second] = [await broker.enqueue(), await broker.enqueue()]
    assert.equal((await take(broker)).sequence, first)
    assert.equal((await take(broker)).sequence, second)
    await takeNothing(broker)
  },

  async 'a nak hands the job out again at once, before what is new, and the delivery count rises'(broker) {
    const sequence = await broker.enqueue()
    const first = await take(broker)
    await broker.enqueue()
    assert.deepEqual([first.sequence, first.deliveries], [sequence, 1])
    await broker.answer(first, '-NAK')
    const second = await take(broker)
    assert.deepEqual([second.sequence, second.deliveries], [sequence, 2])
    await broker.answer(second, '-NAK')
    const third = await take(broker)
    assert.deepEqual([third.sequence, third.deliveries], [sequence, 3])
  },

  async 'a second nak of a delivery hands the job out once'(broker) {
    await broker.enqueue()
    const first = await take(broker)
    await broker.answer(first, '-NAK')
    await broker.answer(first, '-NAK')
    assert.equal((await take(broker)).deliveries, 2)
    await takeNothing(broker)
  },

  async 'a nak with a delay hands the job out when that has passed'(broker) {
    await broker.enqueue()
    await broker.answer(await take(broker), nak(700))
    await takeNothing(broker)
    assert.equal((await take(broker, broker.ackWaitMs - soonMs)).deliveries, 2)
  },

  async 'the delay of a nak may be longer than the ack wait'(broker) {
    await broker.enqueue()
    await broker.answer(await take(broker), nak(2 * broker.ackWaitMs))
    await takeNothing(broker, 1.4 * broker.ackWaitMs)
    assert.equal((await take(broker)).deliveries, 2)
  },

  async 'a renewal ends the delay of a nak'(broker) {
    await broker.enqueue()
    const first = await take(broker)
    await broker.answer(first, nak(60_000))
    await broker.answer(first, '+WPI')
    assert.equal((await take(broker)).deliveries, 2)
  },

  async 'a lease that ran out hands the job out again'(broker) {
    await broker.enqueue()
    assert.equal((await take(broker)).deliveries, 1)
    await takeNothing(broker)
    assert.equal((await take(broker)).deliveries, 2)
  },

  async 'a renewal lengthens the lease from now on'(broker) {
    await broker.enqueue()
    const first = await take(broker)
    await takeNothing(broker, 0.5 * broker.ackWaitMs)
    await broker.answer(first, '+WPI')
    await takeNothing(broker, 0.75 * broker.ackWaitMs)
    assert.equal((await take(broker)).deliveries, 2)
  },

  async 'a renewal after the lease ran out does not keep the job from coming again'(broker) {
    await broker.enqueue()
    const first = await take(broker)
    await broker.pass(1.3 * broker.ackWaitMs)
    await broker.answer(first, '+WPI')
    assert.equal((await take(broker, soonMs * 2)).deliveries, 2)
  },

  async 'a renewal by a holder whose lease ran out lengthens the lease of the next'(broker) {
    await broker.enqueue()
    const first = await take(broker)
    await take(broker)
    await takeNothing(broker, 0.5 * broker.ackWaitMs)
    await broker.answer(first, '+WPI')
    await takeNothing(broker, 0.75 * broker.ackWaitMs)
    assert.equal((await take(broker)).deliveries, 3)
  },

  async 'an ack deletes the job, and nothing that is said later brings it back'(broker) {
    await broker.enqueue()
    const first = await take(broker)
    await broker.answer(first, '+ACK')
    assert.equal(await broker.jobs(), 0)
    for (const late of ['-NAK', nak(10), '+WPI', '+ACK']) await broker.answer(first, late)
    await takeNothing(broker, 1.2 * broker.ackWaitMs)
  },

  async 'an ack settles for everybody, however late'(broker) {
    await broker.enqueue()
    const first = await take(broker)
    assert.equal((await take(broker)).deliveries, 2)
    await broker.answer(first, '+ACK')
    assert.equal(await broker.jobs(), 0)
    await takeNothing(broker, 1.2 * broker.ackWaitMs)
  },

  async 'an ack settles a job that waits to be handed out again'(broker) {
    await broker.enqueue()
    const first = await take(broker)
    await broker.answer(first, '-NAK')
    await broker.answer(first, '+ACK')
    await takeNothing(broker)
    assert.equal(await broker.jobs(), 0)
  },

  async 'the nak of a holder whose lease ran out starts one more delivery'(broker) {
    await broker.enqueue()
    const first = await take(broker)
    assert.equal((await take(broker)).deliveries, 2)
    await broker.answer(first, '-NAK')
    assert.equal((await take(broker, soonMs * 2)).deliveries, 3)
  },

  async 'within the window a message id is stored once, and the answer names the record'(broker) {
    const first = await broker.publishRecord('dead:JOBS:1')
    assert.equal(first.duplicate, false)
    assert.deepEqual(await broker.publishRecord('dead:JOBS:1'), { ...first, duplicate: true })
    const other = await broker.publishRecord('dead:JOBS:2')
    assert.deepEqual([other.duplicate, other.sequence], [false, first.sequence + 1])
  },

  async 'after the window a message id is stored again, however often it was refused'(broker) {
    const first = await broker.publishRecord('dead:JOBS:1')
    for (let tries = 0; tries < 100; tries += 1) {
      await broker.pass(100)
      const again = await broker.publishRecord('dead:JOBS:1')
      if (!again.duplicate) {
        assert.equal(again.sequence, first.sequence + 1)
        return
      }
    }
    assert.fail('it never was')
  },

  async 'an entry is swapped only at the revision that it has'(broker) {
    const first = await broker.update('a', 'one', 0)
    assert.ok(first)
    assert.equal(await broker.update('a', 'two', 0), undefined)
    const second = await broker.put('a', 'two')
    assert.equal(await broker.update('a', 'three', first), undefined)
    assert.deepEqual(await broker.get('a'), { value: 'two', revision: second })
    assert.ok(await broker.update('a', 'three', second))
    await broker.purge('a')
    assert.equal(await broker.get('a'), undefined)
    assert.ok(await broker.update('a', 'four', 0))
  },

  async 'a broker that was killed has its jobs, records and entries, and brings again what was handed out'(
    broker,
  ) {
    const [first, second] = [await broker.enqueue(), await broker.enqueue()]
    await take(broker)
    const record = await broker.publishRecord('dead:JOBS:1')
    await broker.put('a', 'one')
    await broker.kill()
    const again = [await take(broker), await take(broker)].map(({ sequence }) => sequence)
    assert.deepEqual(again.sort(), [first, second])
    assert.equal((await broker.publishRecord('dead:JOBS:2')).sequence, record.sequence + 1)
    assert.equal((await broker.get('a'))?.value, 'one')
  },
}

function nak(delayMs: number): string {
  return `-NAK {"delay":${delayMs * 1e6}}`
}
