import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawChart } from '#bench/report/chart.js'
import { toMarkdown } from '#bench/report/markdown.js'
import { describeResult, failureLines, goalLines, tableOf } from '#bench/report/table.js'
import type { Run } from '#bench/run-scenario.js'
import type { Scenario } from '#bench/scenario.js'
import { summarise } from '#bench/summary.js'

test('ratios are taken within each round, and the median of them counts', () => {
  const { rows } = summarise(race(), [
    ...round(1, { floor: 100, ours: 90 }),
    ...round(2, { floor: 1_000, ours: 800 }),
    ...round(3, { floor: 10, ours: 7 }),
  ])
  assert.deepEqual(rows[1]!.ratio, { median: 0.8, min: 0.7, max: 0.9 })
  assert.equal(rows[0]!.ratio, undefined)
})

test('the round that warms up does not count', () => {
  const { rows } = summarise(race(), [
    ...round(0, { floor: 1, ours: 1 }),
    ...round(1, { floor: 100, ours: 90 }),
  ])
  assert.equal(rows[0]!.values['rate']!.median, 100)
})

test('a goal against several is one against the best of them in each round', () => {
  const scenario = race({ measure: 'rate', of: 'ours', against: ['floor', 'peer'], atLeast: 2 })
  const runs = [
    ...round(1, { floor: 10, peer: 20, ours: 30 }),
    ...round(2, { floor: 50, peer: 20, ours: 100 }),
  ]
  const [judgement] = summarise(scenario, runs).judgements
  assert.deepEqual(judgement!.reached, { median: 1.75, min: 1.5, max: 2 })
  assert.equal(judgement!.isMet, false)
})

test('the best of those that something must not exceed is the least', () => {
  const scenario = race({
    measure: 'rate',
    of: 'ours',
    against: ['floor', 'peer'],
    as: 'difference',
    atMost: 1,
  })
  const [judgement] = summarise(scenario, round(1, { floor: 10, peer: 20, ours: 12 })).judgements
  assert.equal(judgement!.reached.median, 2)
  assert.equal(judgement!.isMet, false)
})

test('a goal whose numbers are missing is neither met nor missed', () => {
  const scenario = race({ measure: 'rate', of: 'ours', against: ['peer'], atLeast: 2 })
  const result = summarise(scenario, round(1, { floor: 10, ours: 30 }))
  assert.equal(result.judgements[0]!.isMet, undefined)
  assert.match(goalLines(result)[0]!, /not judged/)
})

test('a run without a number leaves its reason and does not count', () => {
  const failed: Run = {
    scenario: 'race',
    round: 2,
    contestant: 'ours',
    tookMs: 1,
    failure: '3 jobs\nwere lost',
  }
  const result = summarise(race(), [
    ...round(1, { floor: 100, ours: 50 }),
    ...round(2, { floor: 100 }),
    failed,
  ])
  assert.equal(result.rows[1]!.values['rate']!.median, 50)
  assert.deepEqual(failureLines(result), ['ours: 1 run has no number: 3 jobs\nwere lost'])
  assert.match(describeResult(result), /were lost/)
})

test('who never has a number has a row of dashes, and no bar', () => {
  const failed: Run = { scenario: 'race', round: 1, contestant: 'ours', tookMs: 1, failure: 'it lost a job' }
  const result = summarise(race(), [...round(1, { floor: 100 }), failed])
  assert.deepEqual(tableOf(result).body[1], ['ours', '–', '–'])
  assert.equal(drawChart(result).match(/<rect/g)!.length, 1)
})

test('pictures have a bar for each, escape what is in names, and follow the reader to dark pages', () => {
  const result = summarise(race(), round(1, { floor: 100, ours: 90 }))
  const chart = drawChart({ ...result, scenario: { ...result.scenario, title: 'a < b & c' } })
  assert.equal(chart.match(/<rect class="bar"/g)!.length, 1)
  assert.equal(chart.match(/<rect class="own"/g)!.length, 1)
  assert.match(chart, /a &lt; b &amp; c/)
  assert.match(chart, /prefers-color-scheme: dark/)
})

test('the page names the machine, who was left out, and whether goals are met', () => {
  const scenario = race({ measure: 'rate', of: 'ours', against: ['floor'], atLeast: 0.85 })
  const page = toMarkdown(
    environment,
    [summarise(scenario, round(1, { floor: 100, ours: 90 }))],
    () => 'a.svg',
  )
  assert.match(page, /\| Left out \| BullMQ: no Redis \|/)
  assert.match(page, /- \*\*floor\*\*: It only stands there\./)
  assert.match(page, /!\[A race\]\(a\.svg\)/)
  assert.match(page, /Goal: jobs\/s: ours at least 0\.85 × floor: 0\.90, met/)
})

const environment = {
  ...{ date: '2026-01-31T00:00:00Z', cpu: 'some', cores: 2, memoryGb: 4, system: 'Linux', node: 'v20.19.0' },
  ...{ natsServer: '2.15.1', peers: {}, leftOut: ['BullMQ: no Redis'], commit: undefined },
  ...{ command: 'npm run bench', loadBefore: 0 },
}

function race(goal?: NonNullable<Scenario['goals']>[number]): Scenario {
  return {
    name: 'race',
    title: 'A race',
    method: 'They run.',
    contestants: [
      { name: 'floor', about: 'It only stands there.' },
      { name: 'ours', isOwn: true },
      { name: 'peer' },
    ],
    measures: [{ key: 'rate', label: 'jobs/s', digits: 0 }],
    ...(goal && { goals: [goal] }),
    run: () => Promise.reject(new Error('not in this test')),
  }
}

function round(number: number, rates: Record<string, number>): Run[] {
  return Object.entries(rates).map(([contestant, rate]) => ({
    ...{ scenario: 'race', round: number, contestant, tookMs: 1 },
    values: { rate },
  }))
}
