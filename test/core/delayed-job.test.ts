import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type DeadLetter, deadLetterHeaders, type HeaderEntry } from '#src/core/dead-letter.js'
import { type DelayedJob, delayedHeaders, dueId, readDueJob } from '#src/core/delayed-job.js'
import { readJobHeaders } from '#src/core/job-headers.js'

const noon = Date.UTC(2026, 0, 31, 12)
const history = [{ attempt: 1, outcome: 'failed', error: 'no luck' }]

function delayedJob(overrides: Partial<DelayedJob> = {}): DelayedJob {
  return {
    jobId: 'JOBS:17',
    subject: 'jobs.email.send',
    stream: 'JOBS',
    sequence: 17,
    storedAt: noon - 1_000,
    enqueuedAt: noon - 1_000,
    dueAt: noon,
    attempts: 0,
    history: [],
    ...overrides,
  }
}

/** What the job stream gets back after the wait. */
function comeBack(job: DelayedJob, headers: readonly HeaderEntry[]) {
  const waiting = { stream: 'JOBS_DELAYED', sequence: 3, storedAt: noon }
  return readDueJob(waiting, delayedHeaders(job, headers))
}

test('a waiting job has its own headers, none of the server, and what survives the move', () => {
  const headers: HeaderEntry[] = [
    ['Nats-Msg-Id', 'mine'],
    ['X-App', 'a'],
    ['x-app', 'b'],
    ['Millrace-Run-At', '2026-01-31T12:00:00Z'],
    ['nats-rollup', 'all'],
  ]
  assert.deepEqual(delayedHeaders(delayedJob({ jobId: 'mine' }), headers), [
    ['X-App', 'a'],
    ['x-app', 'b'],
    ['Millrace-Run-At', '2026-01-31T12:00:00Z'],
    ['Millrace-Job-Id', 'mine'],
    ['Millrace-Enqueued-At', '2026-01-31T11:59:59.000Z'],
    ['Millrace-Due-At', '2026-01-31T12:00:00.000Z'],
    ['Millrace-Due-Id', `due:JOBS:17:${noon - 1_000}`],
    ['Millrace-Prior-Attempts', '0'],
  ])
})

test('a job that comes back says what it is and no longer when it is due', () => {
  const due = comeBack(delayedJob({ attempts: 1, history }), [['X-App', 'a']])
  assert.equal(due.dueAt, noon)
  assert.equal(due.id, dueId(delayedJob()))
  assert.deepEqual(due.headers, [
    ['X-App', 'a'],
    ['Millrace-Job-Id', 'JOBS:17'],
    ['Millrace-Enqueued-At', '2026-01-31T11:59:59.000Z'],
    ['Millrace-Prior-Attempts', '1'],
    ['Millrace-Prior-History', '[{"attempt":1,"outcome":"failed","error":"no luck"}]'],
  ])
})

test('the same place in a stream that was made anew is another job', () => {
  assert.notEqual(dueId(delayedJob()), dueId(delayedJob({ storedAt: noon })))
})

test('what the server adds to a schedule that fired does not reach the job', () => {
  const due = readDueJob({ stream: 'JOBS_DELAYED', sequence: 3, storedAt: noon }, [
    ...delayedHeaders(delayedJob(), [['X-App', 'a']]),
    ['Nats-Scheduler', 'delayed.jobs.at.JOBS.17.1'],
    ['Nats-Schedule-Next', 'purge'],
  ])
  assert.ok(!due.headers.some(([name]) => name.toLowerCase().startsWith('nats-')))
})

test('a message that somebody else put there is a job', () => {
  const message = { stream: 'JOBS_DELAYED', sequence: 3, storedAt: noon }
  assert.deepEqual(readDueJob(message, []), {
    dueAt: 0,
    id: `due:JOBS_DELAYED:3:${noon}`,
    headers: [
      ['Millrace-Job-Id', 'JOBS_DELAYED:3'],
      ['Millrace-Enqueued-At', '2026-01-31T12:00:00.000Z'],
      ['Millrace-Prior-Attempts', '0'],
    ],
  })
  const mine = readDueJob(message, [
    ['Nats-Msg-Id', 'mine'],
    ['millrace-run-at', '2026-01-31T12:00:05Z'],
  ])
  assert.equal(mine.dueAt, noon + 5_000)
  assert.deepEqual(mine.headers[1], ['Millrace-Job-Id', 'mine'])
  assert.equal(readDueJob(message, [['Millrace-Due-At', 'soon']]).dueAt, 0)
})

const ours = ['nats-msg-id', 'millrace-job-id', 'millrace-enqueued-at', 'millrace-due-at', 'millrace-due-id']
const applicationHeaders = fc.array(
  fc.tuple(
    fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,12}$/).filter((name) => !/^(nats|millrace)-/i.test(name)),
    fc.stringMatching(/^[ -~]{0,20}$/),
  ),
)
const instants = fc.integer({ min: 0, max: 4e12 })

test('a job that is moved twice keeps its id, times, attempts and application headers', () => {
  fc.assert(
    fc.property(
      fc.record({
        jobId: fc.stringMatching(/^[!-~]{1,20}$/),
        enqueuedAt: instants,
        dueAt: instants,
        storedAt: instants,
        attempts: fc.nat(50),
      }),
      applicationHeaders,
      (fields, headers) => {
        const job = delayedJob({ ...fields, history })
        const once = comeBack(job, [['Nats-Msg-Id', 'x'], ...headers])
        const again = { ...job, stream: 'JOBS', sequence: 99, storedAt: noon }
        const twice = comeBack(again, once.headers)
        assert.deepEqual(twice.headers, once.headers)
        assert.equal(twice.dueAt, job.dueAt)
        assert.notEqual(twice.id, once.id)
        const plain = Object.fromEntries(twice.headers.map(([name, value]) => [name.toLowerCase(), value]))
        const { headers: read, problem } = readJobHeaders(plain)
        assert.equal(problem, undefined)
        assert.deepEqual(
          [read.id, read.enqueuedAt, read.priorAttempts, read.priorHistory],
          [job.jobId, job.enqueuedAt, job.attempts, history],
        )
        assert.deepEqual(
          twice.headers.filter(([name]) => !/^millrace-/i.test(name)),
          headers,
        )
      },
    ),
  )
})

test('nothing of a move stays in a dead letter, and nothing of a move is doubled', () => {
  const due = comeBack(delayedJob({ attempts: 1, history }), [['X-App', 'a']])
  const letter: DeadLetter = {
    handler: 'email.send',
    reason: 'expired',
    jobId: 'JOBS:17',
    subject: 'jobs.email.send',
    stream: 'JOBS',
    sequence: 99,
    attempts: 1,
    deliveries: 1,
    enqueuedAt: noon,
    deadAt: noon,
    error: undefined,
    history,
    headersUnread: 0,
  }
  const names = deadLetterHeaders(letter, due.headers).map(([name]) => name.toLowerCase())
  assert.deepEqual(
    names.filter((name) => name.includes('-prior-') || name.includes('-due-')),
    [],
  )
  assert.equal(new Set(names).size, names.length)
  for (const name of ours.slice(1, 3)) assert.ok(names.includes(name))
})
