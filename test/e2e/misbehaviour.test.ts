import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

interface Case {
  name: string
  job: object
  outcome: 'failed' | 'crashed' | 'timed_out'
  reason: string[]
  code: string
}

// What kills the thread may be told as a crash or, where the runtime caught it, as a failure.
const either = ['exhausted', 'crashed']

const cases: Case[] = [
  {
    name: 'throw null',
    job: { do: 'throw-null' },
    outcome: 'failed',
    reason: ['exhausted'],
    code: 'non_error_thrown',
  },
  {
    name: 'throw undefined',
    job: { do: 'throw-undefined' },
    outcome: 'failed',
    reason: ['exhausted'],
    code: 'non_error_thrown',
  },
  {
    name: 'throw a string',
    job: { do: 'throw-string' },
    outcome: 'failed',
    reason: ['exhausted'],
    code: 'non_error_thrown',
  },
  {
    name: 'throw an Error',
    job: { do: 'throw' },
    outcome: 'failed',
    reason: ['exhausted'],
    code: 'handler_error',
  },
  {
    name: 'throw an Error with a code',
    job: { do: 'throw', code: 'E_CARD_DECLINED' },
    outcome: 'failed',
    reason: ['exhausted'],
    code: 'E_CARD_DECLINED',
  },
  {
    name: 'process.exit(0)',
    job: { do: 'exit', exitCode: 0 },
    outcome: 'crashed',
    reason: ['crashed'],
    code: 'thread_exit',
  },
  {
    name: 'process.exit(3)',
    job: { do: 'exit', exitCode: 3 },
    outcome: 'crashed',
    reason: ['crashed'],
    code: 'thread_exit',
  },
  {
    name: 'a rejected promise that nobody awaits',
    job: { do: 'float-rejection' },
    outcome: 'crashed',
    reason: either,
    code: 'unhandled_rejection',
  },
  {
    name: 'a timer that throws while the job runs',
    job: { do: 'timer-throw' },
    outcome: 'crashed',
    reason: either,
    code: 'uncaught_exception',
  },
]

for (const pool of ['cpu', 'io']) {
  const handler = pool === 'cpu' ? 'act' : 'io'

  test(`what a handler on the ${pool} pool does wrong is its job's own named failure`, async (t) => {
    const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '2' } })
    const supervisor = await world.supervise()
    const { broker, ledger } = world

    for (const { name, job, outcome, reason, code } of cases) {
      await t.test(`G1 G4: ${name}`, async () => {
        const before = await supervisor.metrics()
        const gate = world.gate(name)
        const hold = { do: 'hold', gate: gate.path }
        const neighbours = await broker.enqueueAll(handler, pool === 'io' ? [hold, hold] : [hold])
        const culprit = await broker.enqueue(handler, job)
        const others = await broker.enqueueAll('email.send', [{ do: 'return' }, { do: 'return' }])
        const letter = await broker.deadLetter(culprit)
        gate.open()
        await broker.drained()

        assert.ok(reason.includes(letter.reason), letter.reason)
        assert.equal(letter.headers['Millrace-Error-Code'], code)
        assert.equal(letter.headers['Millrace-Attempts'], '2')
        assert.equal(letter.history.length, 2)
        assert.deepEqual(ledger.attempts(culprit), [1, 2])
        for (const id of [...neighbours, ...others]) {
          assert.equal(ledger.ends(id).length, 1, `${id} ended once`)
          assert.ok(
            ledger.starts(id).every((line) => line.attempt === 1),
            `${id} was charged`,
          )
        }
        await eventually('the counters tell the same', async () => {
          const after = await supervisor.metrics()
          const rise = (kind: string) =>
            after.sum('millrace_attempts_total', { handler, outcome: kind }) -
            before.sum('millrace_attempts_total', { handler, outcome: kind })
          assert.equal(reason === either ? rise('failed') + rise('crashed') : rise(outcome), 2)
          assert.equal(rise('completed'), neighbours.length)
          return true
        })
      })
    }

    await t.test('G1: a rejection that floats past the end of its job is never a success', async () => {
      const id = await broker.enqueue(handler, { do: 'float-and-return' })
      const letter = await broker.deadLetter(id)
      assert.equal(letter.headers['Millrace-Error-Code'], 'unhandled_rejection')
      assert.deepEqual(ledger.attempts(id), [1, 2])
    })

    await t.test('a result that cannot be cloned is discarded, not a failure', async () => {
      const id = await broker.enqueue(handler, { do: 'return-function' })
      await broker.drained()
      assert.deepEqual(ledger.attempts(id), [1])
      assert.ok((await broker.deadLetters()).every((letter) => letter.jobId !== id))
    })

    await t.test('G4: a timer that throws after its job ended is not charged to the next job', async () => {
      const leaver = await broker.enqueue(handler, { do: 'timer-throw-later', ms: 100 })
      const next = await broker.enqueueAll(handler, [
        { do: 'sleep', ms: 400 },
        { do: 'sleep', ms: 400 },
      ])
      await broker.drained()
      assert.equal(ledger.ends(leaver).length, 1)
      for (const id of next) {
        assert.equal(ledger.ends(id).length, 1)
        assert.ok(
          ledger.starts(id).every((line) => line.attempt === 1),
          `${id} was charged`,
        )
      }
      const dead = (await broker.deadLetters()).map((letter) => letter.jobId)
      assert.ok(![leaver, ...next].some((id) => dead.includes(id)))
    })

    await t.test('the supervisor is none the worse', async () => {
      await supervisor.metric('millrace_jobs_in_flight', {}, 0)
      const { status, body } = await supervisor.get('/readyz')
      assert.equal(status, 200, body)
      const id = await broker.enqueue(handler, { do: 'return' })
      await broker.drained()
      assert.deepEqual(ledger.attempts(id), [1])
    })
  })
}
