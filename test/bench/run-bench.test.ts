import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { BenchError } from '#bench/bench-error.js'
import { Journal } from '#bench/journal.js'
import { runBench } from '#bench/main.js'
import { JobRecord, readRecords, recordsVariable } from '#bench/measure/records.js'
import type { BenchOptions, Scenario } from '#bench/scenario.js'
import { until } from '../support/until.ts'

test('every round has all scenarios, and turns the order of contestants round', async () => {
  const seen: string[] = []
  await runBench({ ...options, rounds: 2 }, [noted('a', seen), noted('b', seen)])
  assert.deepEqual(seen, ['a.one', 'a.two', 'b.one', 'b.two', 'a.two', 'a.one', 'b.two', 'b.one'])
})

test('a contestant that fails ends neither the others nor, for good, the run', async () => {
  const seen: string[] = []
  const scenario = noted('a', seen, (name) => {
    if (name === 'one') throw new BenchError('it lost a job')
  })
  const { results } = await runBench({ ...options, rounds: 4 }, [scenario])
  // Twice is enough: it is not tried again.
  assert.equal(seen.filter((name) => name === 'a.one').length, 2)
  assert.equal(seen.filter((name) => name === 'a.two').length, 4)
  assert.deepEqual(results[0]!.rows[0]!.failures, ['it lost a job'])
  assert.equal(results[0]!.rows[1]!.failedRuns, 0)
})

test('whatever a run registered is ended, also when it fails', async () => {
  let ended = 0
  const scenario: Scenario = {
    ...noted('a', []),
    async run(_contestant, { endings }) {
      endings.add(() => {
        ended += 1
      })
      throw new BenchError('no')
    },
  }
  await runBench(options, [scenario])
  assert.equal(ended, 2)
})

test('a run that was cut short goes on where it was', async (t) => {
  const file = path.join(makeDir(t), 'new', 'runs.jsonl')
  const seen: string[] = []
  await runBench({ ...options, journal: Journal.begin(file, 'here') }, [noted('a', seen)])
  // Killed while it wrote.
  appendFileSync(file, '{"scenario":"a","rou')
  const journal = Journal.resume(file, 'here')
  const again = await runBench({ ...options, journal, rounds: 2 }, [noted('a', seen)])
  assert.deepEqual(seen, ['a.one', 'a.two', 'a.two', 'a.one'])
  assert.equal(again.results[0]!.runs.length, 4)
  assert.equal(Journal.resume(file, 'here').runs.length, 4)
  assert.throws(() => Journal.resume(file, 'elsewhere'), BenchError)
})

test('no run begins when time is over, and the result says so', async () => {
  const seen: string[] = []
  const { isCutShort } = await runBench({ ...options, minutes: -1 }, [noted('a', seen)])
  assert.equal(isCutShort, true)
  assert.deepEqual(seen, [])
})

test('who is not available, or not needed by a quick run, does not take part', async () => {
  const seen: string[] = []
  const scenario = { ...noted('a', seen), quick: ['one'] }
  await runBench({ ...options, quick: true }, [scenario])
  await runBench(options, [{ ...noted('b', seen), contestants: [{ name: 'x', isAvailable: () => false }] }])
  assert.deepEqual(seen, ['a.one'])
})

test('an unknown scenario is an error that lists those that there are', async () => {
  await assert.rejects(runBench({ ...options, only: ['c'] }, [noted('a', [])]), /no scenario c; there are a/)
})

test('part of a name chooses contestants, and one that nobody has is an error that says who there is', async () => {
  const seen: string[] = []
  const scenario: Scenario = noted('a', seen)
  const peer = { name: 'Other', isAvailable: () => false }
  const from = [{ ...scenario, contestants: [...scenario.contestants, peer] }]
  await runBench({ ...options, contestants: ['TW'] }, from)
  assert.deepEqual(seen, ['a.two'])
  await assert.rejects(
    runBench({ ...options, contestants: ['one', 'x'] }, from),
    /"x".*; there are one; two$/,
  )
  await assert.rejects(runBench({ ...options, contestants: ['other'] }, from), /"other".*; only with --peers/)
  assert.deepEqual(seen, ['a.two'])
})

test('records of all threads and processes add up, each handler for itself', (t) => {
  const dir = makeDir(t)
  const write = (name: string, ...numbers: number[]) =>
    writeFileSync(path.join(dir, name), Float64Array.from(numbers))
  // A job and how late it was, one after the other.
  write('record-noop-1-1', 0, 0.5)
  write('record-noop-2-1', 1, 4, 0, 0.25, 7, 9)
  write('record-stamp-1-1', 0, 7)
  const { runs, values } = readRecords(dir, 'noop', 3)
  assert.deepEqual([...runs], [2, 1, 0])
  assert.deepEqual([...values], [0.75, 4, 0])
})

test('what a thread notes is read as it was noted, over pages', async (t) => {
  const dir = makeDir(t)
  process.env[recordsVariable] = dir
  t.after(() => delete process.env[recordsVariable])
  const record = new JobRecord('noop')
  const jobs = 40_000
  for (let n = 0; n < jobs; n += 1) record.ran(n)
  record.ran(1)
  record.late(2, -1e9)
  await until(() => readdirSync(dir).some((name) => !name.endsWith('.new')), 'the record is written')
  const { runs, values } = readRecords(dir, 'noop', jobs)
  assert.deepEqual([...runs.subarray(0, 4)], [1, 2, 2, 1])
  assert.ok(values[2]! > 1e9)
  assert.deepEqual([runs.reduce((sum, each) => sum + each, 0), values[1]], [jobs + 2, 0])
})

const options: BenchOptions = {
  ...{
    binary: '',
    natsVersion: '',
    node: '',
    rounds: 1,
    warmUp: false,
    quick: false,
    minutes: 1,
    jobs: 1,
    threads: 1,
  },
  ...{ burnRounds: 1, only: [], contestants: [], narrate: () => {} },
}

/** A scenario whose runs are noted. */
function noted(name: string, seen: string[], act: (contestant: string) => void = () => {}): Scenario {
  return {
    ...{ name, title: name, method: '', contestants: [{ name: 'one' }, { name: 'two' }] },
    measures: [{ key: 'rate', label: 'jobs/s', digits: 0 }],
    async run(contestant) {
      seen.push(`${name}.${contestant.name}`)
      act(contestant.name)
      return { rate: 1 }
    },
  }
}

function makeDir(t: TestContext): string {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'millrace-bench-test-'))
  t.after(() => rmSync(dir, { recursive: true }))
  return dir
}
