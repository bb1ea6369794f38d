import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { consumerName, isHandlerName, namesFor, priorities } from '#src/core/names.js'

test('the names of a namespace are those of the contract', () => {
  const names = namesFor('jobs')
  assert.deepEqual(
    {
      ...names,
      jobSubject: names.jobSubject('email.send'),
      deadSubject: names.deadSubject('email.send'),
      eventSubject: names.eventSubject('email.send', 'progress'),
      askSubject: names.askSubject('where'),
      answerSubject: names.answerSubject('x'),
      tickSubject: names.tickSubject('email.send'),
      dueSubject: names.dueSubject('high.jobs.email.send'),
      scheduleSubject: names.scheduleSubject('JOBS', 17, 5),
      streamOf: priorities.map(names.streamOf),
      streamOfSubject: names.streamOfSubject('jobs.email.send'),
      subjectsOf: priorities.map(names.subjectsOf),
    },
    {
      namespace: 'jobs',
      jobStream: 'JOBS',
      jobSubjects: 'jobs.>',
      deadStream: 'JOBS_DEAD',
      deadSubjects: 'dead.jobs.>',
      delayedStream: 'JOBS_DELAYED',
      delayedSubjects: 'delayed.jobs.>',
      dueSubjects: 'delayed.jobs.due.>',
      ticksStream: 'JOBS_TICKS',
      tickSubjects: 'ticks.jobs.>',
      attemptsBucket: 'jobs_attempts',
      controlBucket: 'jobs_control',
      resultsBucket: 'jobs_results',
      streamOf: ['JOBS_HIGH', 'JOBS', 'JOBS_LOW'],
      streamOfSubject: 'JOBS',
      subjectsOf: ['high.jobs.>', 'jobs.>', 'low.jobs.>'],
      askSubject: 'asks.jobs.where',
      answerSubject: 'answers.jobs.x',
      tickSubject: 'ticks.jobs.email.send',
      dueSubject: 'delayed.jobs.due.high.jobs.email.send',
      scheduleSubject: 'delayed.jobs.at.JOBS.17.5',
      jobSubject: 'jobs.email.send',
      deadSubject: 'dead.jobs.email.send',
      eventSubject: 'events.jobs.email.send.progress',
      eventSubjects: 'events.jobs.>',
    },
  )
})

test('a priority is part of the subject', () => {
  const names = namesFor('jobs')
  assert.equal(names.jobSubject('email.send', 'high'), 'high.jobs.email.send')
  assert.equal(names.jobSubject('email.send', 'normal'), 'jobs.email.send')
  assert.equal(names.jobSubject('email.send', 'low'), 'low.jobs.email.send')
})

test('the subject of a job tells its stream, and every other subject none', () => {
  for (const namespace of ['jobs', 'high']) {
    const names = namesFor(namespace)
    for (const priority of priorities)
      assert.equal(names.streamOfSubject(names.jobSubject('email.send', priority)), names.streamOf(priority))
  }
  const others = [
    '',
    'jobs',
    'jobs.',
    'jobs.a..b',
    'jobs.>',
    'jobs.a b',
    'dead.jobs.a',
    'other.a',
    'low.other.a',
  ]
  for (const subject of others) assert.equal(namesFor('jobs').streamOfSubject(subject), undefined, subject)
})

test('a handler name is tokens of letters, digits and hyphens joined by dots', () => {
  for (const name of ['a', 'email.send', 'A-1.b-2.C', '7']) assert.ok(isHandlerName(name), name)
  for (const name of ['', '.', 'a.', '.a', 'a..b', 'a_b', 'a b', 'a*', '>', 'ä', 'a\n', 'a/b']) {
    assert.ok(!isHandlerName(name), JSON.stringify(name))
  }
})

const tokens = fc.stringMatching(/^[A-Za-z0-9-]{1,8}$/)
const handlerNames = fc.array(tokens, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'))

test('no two handlers share a consumer, and a consumer name is a legal JetStream name', () => {
  fc.assert(
    fc.property(handlerNames, handlerNames, (one, other) => {
      assert.ok(isHandlerName(one))
      assert.equal(consumerName(one) === consumerName(other), one === other)
      assert.match(consumerName(one), /^[A-Za-z0-9_-]+$/)
    }),
  )
})

test('no two namespaces share a stream, a subject or a bucket', () => {
  const namespaces = fc.stringMatching(/^[a-z0-9-]{1,6}$/)
  const all = (namespace: string) => {
    const names = namesFor(namespace)
    return [
      names.jobStream,
      names.deadStream,
      names.attemptsBucket,
      names.controlBucket,
      names.jobSubjects,
      names.deadSubjects,
    ]
  }
  fc.assert(
    fc.property(namespaces, namespaces, (one, other) => {
      if (one === other) return
      assert.deepEqual(
        all(one).filter((name) => all(other).includes(name)),
        [],
      )
    }),
  )
})
