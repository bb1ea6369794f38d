import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LedgerLine } from '../support/ledger.ts'
import type { CollectedLetter } from './collected-letters.ts'
import type { Evidence, Power, Publication, Strike } from './evidence.ts'
import { judge } from './judge.ts'
import { type PlannedJob, planSpecial } from './planned-job.ts'

const [pid, otherPid] = [100, 200]

function publication(job: PlannedJob, state: Publication['state'] = 'accepted'): Publication {
  return { job, sentAt: 0, state }
}

function line(
  kind: LedgerLine['kind'],
  atMs: number,
  more: Partial<LedgerLine> & { id?: string } = {},
): LedgerLine {
  return { kind, id: 'one', handler: 'cpu', attempt: 1, pid, thread: 1, atMs, do: 'return', ...more }
}

/** A run from the first instant to the second. */
function run(from: number, to: number, more: Partial<LedgerLine> & { how?: string } = {}): LedgerLine[] {
  const { how = 'returned', ...rest } = more
  return [line('start', from, rest), line('end', to, { ...rest, how })]
}

function letter(
  job: PlannedJob,
  reason: string,
  attempts: number,
  more: Partial<CollectedLetter> = {},
): CollectedLetter {
  const names = ['Subject', 'Stream', 'Sequence', 'Deliveries', 'Enqueued-At', 'Dead-At', 'History']
  return {
    sequence: 1,
    storedAtMs: 0,
    storedAt: 0,
    storedIn: 'the first stream',
    subject: 'dead.jobs.cpu',
    body: job.body,
    headers: {
      ...job.headers,
      ...Object.fromEntries(names.map((name) => [`Millrace-${name}`, 'x'])),
      'Millrace-Dead-Reason': reason,
      'Millrace-Job-Id': job.id,
      'Millrace-Attempts': String(attempts),
    },
    reason,
    jobId: job.id,
    history: [],
    ...more,
  }
}

function strike(powers: readonly Power[], from: number, to: number, pids?: readonly number[]): Strike {
  return { fault: 'a fault', powers, pids, from, to }
}

const good = planSpecial('cpu', 'one', { do: 'return' })
const bad = planSpecial('cpu', 'one', {
  do: 'throw',
  maxAttempts: 2,
  end: { kind: 'dead', reason: 'exhausted', attempts: 2 },
})

function findings(more: Partial<Evidence> & { jobs?: readonly Publication[] }): readonly string[] {
  const { jobs = [publication(good)], ...rest } = more
  return judge({
    publications: new Map(jobs.map((each) => [each.job.id, each])),
    ledger: [],
    letters: [],
    saidDead: new Set(),
    told: () => [],
    said: () => [],
    strikes: [],
    lives: [
      { pid, startedAt: 0, endedAt: 60_000, endedBy: 'stop', exit: { code: 0, signal: null }, lastWords: '' },
    ],
    counted: [],
    leftovers: [],
    stranded: 0,
    ...rest,
  }).findings
}

/** Exactly one promise is broken, and this is how it is called. */
function broken(name: string, evidence: Parameters<typeof findings>[0]): void {
  const found = findings(evidence)
  assert.equal(found.length, 1, found.join('\n') || 'nothing was found')
  assert.ok(found[0]!.startsWith(name), found[0])
}

test('a job that completes once and one that dies as planned break no promise', () => {
  assert.deepEqual(findings({ ledger: run(1, 2) }), [])
  const failures = [
    ...run(1, 2, { how: 'threw', do: 'throw' }),
    ...run(3, 4, { how: 'threw', do: 'throw', attempt: 2 }),
  ]
  const letters = [letter(bad, 'exhausted', 2)]
  assert.deepEqual(findings({ jobs: [publication(bad)], ledger: failures, letters }), [])
})

test('an accepted job without an end is lost, unless its stream went with it', () => {
  broken('lost', {})
  broken('lost', { ledger: [line('start', 1)] })
  assert.deepEqual(findings({ strikes: [strike(['lose'], 5, 6)] }), [])
  const unknown: Publication = { job: good, sentAt: 0, state: undefined }
  assert.deepEqual(findings({ jobs: [unknown] }), [])
})

test('what nobody published, or the broker refused, must not be there', () => {
  broken('unexpected', { ledger: [...run(1, 2), ...run(3, 4, { id: 'two' })] })
  broken('unexpected', { jobs: [publication(good, 'refused')], ledger: run(1, 2) })
  broken('unexpected', { ledger: run(1, 2), letters: [letter({ ...good, id: 'two' }, 'invalid', 0)] })
})

test('a second run of a completed job needs a fault at its process, between the two', () => {
  const ledger = [...run(1, 2), ...run(10, 11, { pid: otherPid })]
  broken('duplicate', { ledger })
  broken('duplicate', { ledger, strikes: [strike(['charge'], 5, 6)] })
  broken('duplicate', { ledger, strikes: [strike(['repeat'], 5, 6, [otherPid])] })
  broken('duplicate', { ledger, strikes: [strike(['repeat'], 12, 13, [pid])] })
  assert.deepEqual(findings({ ledger, strikes: [strike(['repeat'], 5, 6, [pid])] }), [])
  assert.deepEqual(findings({ ledger, strikes: [strike(['repeat'], 5, 6)] }), [])
})

test('two runs at once need a fault that takes a lease away', () => {
  const ledger = [
    line('start', 1, { do: 'loop-alive' }),
    line('alive', 10),
    ...run(5, 6, { pid: otherPid, attempt: 2 }),
  ]
  broken('two runs at once', { ledger })
  const powers: Power[] = ['overlap']
  assert.deepEqual(findings({ ledger, strikes: [strike(powers, 2, 3, [pid])] }), [])
})

test('an attempt counts what failed before it, and no more than faults may have charged', () => {
  broken('charged wrongly', { ledger: run(1, 2, { attempt: 2 }) })
  assert.deepEqual(findings({ ledger: run(3, 4, { attempt: 2 }), strikes: [strike(['charge'], 1, 2)] }), [])
  const ledger = [...run(1, 2, { how: 'threw', do: 'throw' }), ...run(3, 4)]
  broken('charged wrongly', { ledger })
  assert.deepEqual(findings({ ledger, strikes: [strike(['forget'], 2, 3)] }), [])
  const snoozed = [...run(1, 2, { how: 'threw', do: 'snooze-first' }), ...run(3, 4)]
  assert.deepEqual(findings({ ledger: snoozed }), [])
  const stopped = {
    pid,
    startedAt: 0,
    endedAt: 100,
    endedBy: 'stop',
    exit: { code: 0, signal: null },
    lastWords: '',
  } as const
  assert.deepEqual(findings({ ledger, lives: [stopped] }), [], 'its end may have gone unseen')
  broken('charged wrongly', { ledger, lives: [{ ...stopped, endedAt: 60_000 }] })
  const late = [...run(1, 2, { how: 'threw', do: 'throw' }), ...run(3, 4, { pid: otherPid })]
  broken('charged wrongly', { ledger: late })
  assert.deepEqual(findings({ ledger: late, strikes: [strike(['overlap'], 0, 1)] }), [])
  const once = { ...good, maxAttempts: 1 }
  broken('attempt 2 of 1', {
    jobs: [publication(once)],
    ledger: run(3, 4, { attempt: 2 }),
    strikes: [strike(['charge'], 1, 2)],
  })
})

test('a dead letter is one, whole, and right', () => {
  const jobs = [publication(bad)]
  const ledger = [
    ...run(1, 2, { how: 'threw', do: 'throw' }),
    ...run(3, 4, { how: 'threw', do: 'throw', attempt: 2 }),
  ]
  const right = letter(bad, 'exhausted', 2)
  broken('2 dead letters', { jobs, ledger, letters: [right, { ...right, sequence: 2 }] })
  assert.deepEqual(
    findings({ jobs, ledger, letters: [right, { ...right, storedIn: 'the next stream' }] }),
    [],
  )
  const second = { ...right, sequence: 2, storedAt: 120_000 }
  broken('2 dead letters', { jobs, ledger, letters: [right, second] })
  const strikes = [strike(['repeat'], 1, 2)]
  assert.deepEqual(findings({ jobs, ledger, letters: [right, second], strikes }), [])
  const early = { ...second, storedAt: 119_999 }
  broken('2 dead letters', { jobs, ledger, letters: [right, early], strikes })
  broken('2 dead letters', {
    jobs,
    ledger,
    letters: [right, second],
    strikes: [strike(['repeat'], 6_000, 7_000)],
  })
  broken('a dead letter with another body', { jobs, ledger, letters: [{ ...right, body: Buffer.from('x') }] })
  const { 'Millrace-History': _, ...fewer } = right.headers
  broken('a dead letter without Millrace-History', { jobs, ledger, letters: [{ ...right, headers: fewer }] })
  broken('dead for the wrong reason', { jobs, ledger, letters: [letter(bad, 'permanent', 2)] })
  broken('dead for the wrong reason', {
    jobs,
    ledger: ledger.slice(0, 2),
    letters: [letter(bad, 'exhausted', 1)],
  })
  broken('a dead letter of 2 attempts after 1 runs', { jobs, ledger: ledger.slice(0, 2), letters: [right] })
  broken('a dead letter of 2 attempts with 3', {
    jobs,
    ledger,
    letters: [{ ...right, history: [{}, {}, {}] }],
  })
})

test('an innocent job does not die, and one that should does not complete', () => {
  broken('dead for the wrong reason', {
    ledger: run(1, 2, { how: 'threw', do: 'throw' }),
    letters: [letter(good, 'exhausted', 1)],
  })
  broken('completed instead of dying', { jobs: [publication(bad)], ledger: run(1, 2) })
})

test('a completed job with a dead letter is settled twice, unless a fault hid the completion', () => {
  const jobs = [publication(bad)]
  const ledger = [...run(1, 2), ...run(3, 4, { how: 'threw', do: 'throw', attempt: 2 })]
  const letters = [letter(bad, 'exhausted', 2)]
  const strikes = [strike(['charge'], 2, 3)]
  const found = findings({ jobs, ledger, letters, strikes })
  assert.ok(found.some((each) => each.startsWith('settled twice')))
  assert.deepEqual(
    findings({ jobs, ledger, letters, strikes: [strike(['repeat', 'charge'], 2, 3, [pid])] }),
    [],
  )
})

test('counters are what the ledger says', () => {
  const counted = [{ pid, completed: 1, failed: 0, deadLetters: 0 }]
  assert.deepEqual(findings({ ledger: run(1, 2), counted }), [])
  broken('process 100 counted 1 completed', { ledger: run(1, 2, { pid: otherPid }), counted })
})

test('only a run that may have lost its lease may fail and not count', () => {
  const counted = [{ pid, completed: 1, failed: 0, deadLetters: 0 }]
  const ledger = [...run(1, 2, { how: 'threw' }), ...run(4, 5, { attempt: 2 })]
  broken('process 100 counted 0 failed', { ledger, counted })
  assert.deepEqual(findings({ ledger, counted, strikes: [strike(['overlap'], 2, 3)] }), [])
  // It struck before the main thread had heard of the end.
  assert.deepEqual(findings({ ledger, counted, strikes: [strike(['overlap'], 3, 4, [pid])] }), [])
  for (const strikes of [
    [strike(['overlap'], 3, 4)],
    [strike(['overlap'], 3, 4, [otherPid])],
    [strike(['overlap'], 1_003, 1_004, [pid])],
  ])
    broken('process 100 counted 0 failed', { ledger, counted, strikes })
})

test('a process that is asked to stop ends with 0, and none dies by itself', () => {
  const exit = { code: 1, signal: null }
  const life = { pid, startedAt: 0, endedAt: 5, endedBy: 'stop', exit, lastWords: 'why' } as const
  broken('process 100 was asked to stop', { ledger: run(1, 2), lives: [life] })
  const self = { ...life, exit: { code: null, signal: 'SIGKILL' } } as const
  assert.deepEqual(findings({ ledger: run(1, 2), lives: [self] }), [])
  const lives = [{ ...life, endedBy: undefined }]
  broken('process 100 died by itself', { ledger: run(1, 2), lives })
  const refused = [{ ...life, endedBy: undefined, exit: { code: 77, signal: null } }]
  broken('process 100 died by itself', { ledger: run(1, 2), lives: refused, strikes: [strike([], 6, 7)] })
  assert.deepEqual(findings({ ledger: run(1, 2), lives: refused, strikes: [strike([], 4, 7)] }), [])
  const refusedAndStopped = [{ ...life, exit: { code: 77, signal: null } }]
  broken('process 100 was asked to stop', {
    ledger: run(1, 2),
    lives: refusedAndStopped,
    strikes: [strike([], 6, 7)],
  })
  assert.deepEqual(findings({ ledger: run(1, 2), lives: refusedAndStopped, strikes: [strike([], 4, 7)] }), [])
  assert.deepEqual(findings({ ledger: run(1, 2), lives, strikes: [strike(['die'], 3, 4)] }), [])
  const defect = [{ ...life, exit: { code: 70, signal: null } }]
  broken('process 100 has a defect', { ledger: run(1, 2), lives: defect, strikes: [strike(['die'], 3, 4)] })
  broken('process 100 never ended', { ledger: run(1, 2), lives: [{ ...life, endedAt: undefined }] })
})

test('a tick has one job', () => {
  const tick = (sequence: number, at: number) => run(at, at + 1, { id: 'tick:tick:x', sequence })
  assert.deepEqual(findings({ ledger: [...run(1, 2), ...tick(1, 5)] }), [])
  const found = findings({ ledger: [...run(1, 2), ...tick(1, 5), ...tick(2, 7)] })
  assert.ok(found.some((each) => each.startsWith('2 jobs of one tick')))
})

test('what a stream still holds is not accounted for', () => {
  broken('unaccounted', { ledger: run(1, 2), leftovers: ['JOBS holds 1'] })
})
