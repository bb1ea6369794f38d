import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type JobOwner, ManyJobs, type ManyJobsBroker } from '#src/client/enqueue-many.js'
import { checkManyOptions, type EnqueueManyOptions } from '#src/client/enqueue-many-options.js'
import type { JobToEnqueue, NewJob } from '#src/client/new-job.js'
import { MillraceError } from '#src/core/errors.js'
import { namesFor } from '#src/core/names.js'

type Fate = 'stored' | 'duplicate' | 'refused at once' | 'refused' | 'silent'

interface Waiting {
  readonly job: NewJob
  readonly owner: JobOwner
  readonly tag: number
  readonly fate: Fate
}

/** Answers when it is told to, a few at a time; the fate of a job is its payload. */
class SlowBroker implements ManyJobsBroker {
  readonly waiting: Waiting[] = []
  mostJobs = 0
  sent: string[] = []
  readonly #jobBytes: number
  readonly #perTurn: number

  constructor(jobBytes = 10, perTurn = 3) {
    this.#jobBytes = jobBytes
    this.#perTurn = perTurn
  }

  send(job: NewJob, _timeoutMs: number, owner: JobOwner, tag: number): number {
    const fate = JSON.parse(job.data as string) as Fate
    this.sent.push(job.id)
    if (fate === 'refused at once') {
      owner.failed(tag, job, refusal, this.#jobBytes)
      return this.#jobBytes
    }
    this.waiting.push({ job, owner, tag, fate })
    this.mostJobs = Math.max(this.mostJobs, this.waiting.length)
    if (this.waiting.length === 1) setImmediate(() => this.#answer())
    return this.#jobBytes
  }

  #answer(): void {
    for (const { job, owner, tag, fate } of this.waiting.splice(0, this.#perTurn)) {
      if (fate === 'refused') owner.failed(tag, job, refusal, this.#jobBytes)
      else if (fate !== 'silent')
        owner.stored(tag, job, { sequence: 1, duplicate: fate === 'duplicate' }, this.#jobBytes)
    }
    if (this.waiting.length > 0) setImmediate(() => this.#answer())
  }
}

const refusal = new MillraceError('stream_full', 'full')
const names = namesFor('jobs')
const neverClosed = new AbortController().signal

function enqueue(
  broker: ManyJobsBroker,
  jobs: Iterable<JobToEnqueue> | AsyncIterable<JobToEnqueue>,
  options: EnqueueManyOptions = {},
  closed = neverClosed,
) {
  checkManyOptions(options)
  return new ManyJobs(broker, names, { handler: 'a', ...options, requestMs: 1_000 }).enqueue(jobs, closed)
}

async function* later<T>(values: Iterable<T>): AsyncGenerator<T> {
  for (const value of values) {
    await Promise.resolve()
    yield value
  }
}

test('every job is told of once, whatever becomes of it, and no more are under way than allowed', async () => {
  const fates = fc.array(fc.constantFrom('stored', 'duplicate', 'refused at once', 'refused', 'unfit'), {
    maxLength: 60,
  })
  const limits = fc.record({ jobs: fc.integer({ min: 1, max: 20 }), bytes: fc.integer({ min: 1, max: 200 }) })
  await fc.assert(
    fc.asyncProperty(fates, limits, fc.boolean(), async (chosen, { jobs: inFlightJobs, bytes }, inTime) => {
      const broker = new SlowBroker()
      const jobs = chosen.map((fate, n) => ({ payload: fate, id: fate === 'unfit' ? ' ' : `${n}` }))
      const heard: number[] = []
      const report = await enqueue(broker, inTime ? later(jobs) : jobs, {
        inFlightJobs,
        inFlightBytes: bytes,
        onStored: ({ index, id }) => {
          assert.equal(id, `${index}`)
          heard.push(index)
        },
        onFailure: ({ index, error }) => {
          assert.equal(error.code, chosen[index] === 'unfit' ? 'invalid_job' : 'stream_full')
          heard.push(index)
        },
      })
      const count = (...kinds: string[]) => chosen.filter((fate) => kinds.includes(fate)).length
      assert.equal(report.stored, count('stored'))
      assert.equal(report.duplicates, count('duplicate'))
      assert.equal(report.failed, count('refused at once', 'refused', 'unfit'))
      assert.equal(report.stopped, undefined)
      assert.deepEqual(
        report.failures.map(({ index }) => index),
        [...chosen.keys()].filter((n) => !['stored', 'duplicate'].includes(chosen[n]!)),
      )
      assert.deepEqual(
        heard.toSorted((one, other) => one - other),
        [...chosen.keys()],
      )
      assert.ok(broker.mostJobs <= Math.min(inFlightJobs, Math.ceil(bytes / 10)))
      assert.deepEqual(
        broker.sent.map(Number),
        [...chosen.keys()].filter((n) => chosen[n] !== 'unfit'),
      )
    }),
    { numRuns: 60 },
  )
})

test('of a hundred thousand failures the first thousand are kept, and all are counted', async () => {
  function* jobs() {
    for (let n = 0; n < 100_000; n += 1) yield { handler: 'no handler', payload: n }
  }
  let heard = 0
  const report = await enqueue(new SlowBroker(), jobs(), { onFailure: () => (heard += 1) })
  assert.deepEqual([report.failed, report.failures.length, heard], [100_000, 1_000, 100_000])
  assert.equal(report.failures[0]!.id, undefined)
})

test('an id that was made up is never a duplicate', async () => {
  const report = await enqueue(new SlowBroker(), [
    { payload: 'duplicate' },
    { payload: 'duplicate', id: '1' },
  ])
  assert.deepEqual([report.stored, report.duplicates], [1, 1])
})

test('stopOnError takes no more jobs, leaves the source and waits for those under way', async () => {
  let taken = 0
  let left = false
  function* jobs(): Generator<JobToEnqueue> {
    try {
      for (;;) yield { payload: ++taken === 5 ? 'refused at once' : 'stored' }
    } finally {
      left = true
    }
  }
  const report = await enqueue(new SlowBroker(), jobs(), { stopOnError: true })
  assert.deepEqual([report.stopped, report.stored, report.failed, taken, left], ['error', 4, 1, 5, true])
})

test('an abort ends the wait for a slow source, and for room, and tells what is stored', async () => {
  const never = (async function* (): AsyncGenerator<JobToEnqueue> {
    yield { payload: 'stored' }
    await new Promise(() => {})
  })()
  const slow = new AbortController()
  const options = { signal: slow.signal, onStored: () => slow.abort() }
  const report = await enqueue(new SlowBroker(), never, options)
  assert.deepEqual([report.stopped, report.stored], ['aborted', 1])
  const crowded = new AbortController()
  function* endless(): Generator<JobToEnqueue> {
    for (;;) yield { payload: 'stored' }
  }
  const some = await enqueue(new SlowBroker(10, 1), endless(), {
    inFlightJobs: 8,
    signal: crowded.signal,
    onStored: () => crowded.abort(),
  })
  assert.deepEqual([some.stopped, some.stored], ['aborted', 8])
  const early = await enqueue(new SlowBroker(), endless(), { signal: AbortSignal.abort() })
  assert.deepEqual([early.stopped, early.stored], ['aborted', 0])
})

test('closing the client stops it as well', async () => {
  const client = new AbortController()
  function* endless(): Generator<JobToEnqueue> {
    for (;;) yield { payload: 'stored' }
  }
  const options = { onStored: () => client.abort(), inFlightJobs: 4 }
  const report = await enqueue(new SlowBroker(), endless(), options, client.signal)
  assert.equal(report.stopped, 'closed')
})

test('what the source or a callback throws is passed on once nothing is under way', async () => {
  const boom = new Error('boom')
  function* jobs(): Generator<JobToEnqueue> {
    yield { payload: 'stored' }
    throw boom
  }
  const broker = new SlowBroker()
  await assert.rejects(enqueue(broker, jobs()), boom)
  assert.equal(broker.waiting.length, 0)
  const onStored = () => {
    throw boom
  }
  await assert.rejects(enqueue(broker, [{ payload: 'stored' }, { payload: 'stored' }], { onStored }), boom)
  assert.equal(broker.waiting.length, 0)
})

test('what can be neither jobs nor options is refused in words', async () => {
  const broker = new SlowBroker()
  for (const source of [undefined, 7, 'text', {}])
    await assert.rejects(enqueue(broker, source as never), { code: 'invalid_job', message: /iterate over/ })
  const { failures } = await enqueue(broker, [null, { payload: 1, idd: 'x' }, Promise.resolve({})] as never)
  assert.deepEqual(
    failures.map(({ error }) => error.message.slice(0, 26)),
    ['a job is an object such as', 'idd is not an option of a ', 'a job is an object such as'],
  )
  for (const options of [{ inFlightJobs: 0 }, { inFlightBytes: 1.5 }, { requestMs: '5s' }, { inFlight: 5 }])
    assert.throws(() => checkManyOptions(options as never), { code: 'invalid_job' })
})

test('what a schema refuses is not sent, and a schema that takes its time keeps the order', async () => {
  const broker = new SlowBroker()
  const check = (job: NewJob) => {
    if (job.id === 'bad') throw new MillraceError('invalid_job', 'no')
    if (job.id === 'bad later') return Promise.reject(new MillraceError('invalid_job', 'no'))
    return job.id === '1' ? new Promise<void>((resolve) => setImmediate(resolve)) : Promise.resolve()
  }
  const options = { requestMs: 1_000, handler: 'a' }
  const ids = ['1', 'bad', '2', 'bad later', '3']
  const report = await new ManyJobs(broker, names, options, check).enqueue(
    ids.map((id) => ({ id, payload: 'stored' })),
    neverClosed,
  )
  assert.deepEqual(broker.sent, ['1', '2', '3'])
  assert.deepEqual(
    report.failures.map(({ index, id }) => [index, id]),
    [
      [1, 'bad'],
      [3, 'bad later'],
    ],
  )
})
