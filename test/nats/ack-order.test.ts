import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { AckOrder, needsAckOrder } from '#src/nats/ack-order.js'

const turnMs = 10

function createOrder(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const sent: string[][] = []
  const order = new AckOrder((replies) => sent.push(replies))
  return {
    order,
    add: (...sequences: number[]) => {
      for (const sequence of sequences) order.add(replyOf(sequence))
    },
    turn: () => t.mock.timers.tick(turnMs),
    take: () => sent.splice(0).map((replies) => replies.map(sequenceOf)),
  }
}

function replyOf(sequence: number, stream = 'JOBS'): string {
  return `$JS.ACK.${stream}.send.1.${sequence}.${sequence}.1700000000000000000.0`
}

function sequenceOf(reply: string): number {
  return Number(reply.split('.')[5])
}

test('what two threads end in turns leaves in the order of the stream', (t) => {
  const { add, turn, take } = createOrder(t)
  add(1, 2, 100, 101)
  turn()
  assert.deepEqual(take(), [])
  add(3, 4, 102)
  turn()
  assert.deepEqual(take(), [[1, 2, 3, 4, 100, 101]])
  turn()
  assert.deepEqual(take(), [[102]])
  turn()
  assert.deepEqual(take(), [])
})

test('an ack waits for two turns at most, whatever comes behind it', (t) => {
  const { add, turn, take } = createOrder(t)
  add(7)
  turn()
  add(8)
  turn()
  assert.deepEqual(take(), [[7]])
})

test('streams do not wait for each other', (t) => {
  const { order, add, turn, take } = createOrder(t)
  add(900)
  turn()
  order.add(replyOf(3, 'JOBS_HIGH'))
  turn()
  assert.deepEqual(take(), [[900]])
  turn()
  assert.deepEqual(take(), [[3]])
})

test('a flush sends everything at once, in order', (t) => {
  const { order, add, turn, take } = createOrder(t)
  add(5, 4, 6)
  order.flush()
  assert.deepEqual(take(), [[4, 5, 6]])
  turn()
  turn()
  assert.deepEqual(take(), [])
})

test('what is dropped is never sent, and what comes later is', (t) => {
  const { order, add, turn, take } = createOrder(t)
  add(5, 4)
  order.drop()
  turn()
  turn()
  order.flush()
  assert.deepEqual(take(), [])
  add(6)
  turn()
  turn()
  assert.deepEqual(take(), [[6]])
})

test('whatever comes when, each ack is sent once, and those of one write in order', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uniqueArray(fc.nat(50)), { maxLength: 12 }), (turns) => {
      const { add, turn, take } = createOrder(t)
      const added: number[] = []
      for (const [index, sequences] of turns.entries()) {
        const own = sequences.map((sequence) => sequence + 30 * index)
        const fresh = own.filter((sequence) => !added.includes(sequence))
        add(...fresh)
        added.push(...fresh)
        turn()
      }
      turn()
      turn()
      const sent = take()
      t.mock.timers.reset()
      for (const write of sent)
        assert.deepEqual(
          write,
          write.toSorted((a, b) => a - b),
        )
      assert.deepEqual(
        sent.flat().toSorted((a, b) => a - b),
        added.toSorted((a, b) => a - b),
      )
    }),
  )
})

test('only servers of the line 2.10 need it', () => {
  const needs = (major: number, minor: number) => needsAckOrder({ major, minor, patch: 27 })
  assert.ok(needs(2, 10))
  assert.ok(!needs(2, 9))
  assert.ok(!needs(2, 11))
  assert.ok(!needs(2, 15))
})
