import assert from 'node:assert/strict'
import { test } from 'node:test'
import { textWidth } from '#src/cli/text-width.js'
import { graphOf, type TopState, topLines, topRoom } from '#src/cli/top-view.js'

const idle = {
  pending: 0,
  ackPending: 0,
  redelivered: 0,
  oldestAgeSeconds: 0,
  deadLetters: 0,
  paused: false,
  pausedBy: undefined,
  pulls: 1,
  delivered: 0,
  owner: undefined,
}

function stateOf(
  change: Partial<TopState> = {},
  handlers: Record<string, Partial<typeof idle>> = {},
): TopState {
  return {
    namespace: 'jobs',
    server: 'nats://127.0.0.1:4222',
    now: new Date(2026, 0, 31, 12, 4, 5),
    queues: {
      handlers: Object.entries(handlers).map(([handler, queue]) => ({ handler, ...idle, ...queue })),
      unclaimed: [],
      delayed: 3,
      stranded: 0,
    },
    rateOf: (handler) => ({ 'email.send': 12.4, sum: 0.25 })[handler],
    history: [0, 4, 8, 12.65],
    order: 'name',
    scrolled: 0,
    problem: undefined,
    ...change,
  }
}

const some = {
  'audio.mix': { pending: 7, pulls: 0 },
  'email.send': { pending: 120, ackPending: 4, redelivered: 1, deadLetters: 2, oldestAgeSeconds: 190 },
  'report.rollup': { paused: true, pausedBy: 'sam@ops' as never },
  sum: {},
}
const wide = { columns: 100, rows: 12, colours: false }

test('the view has totals, a graph and a line for each handler', () => {
  assert.deepEqual(topLines(stateOf({}, some), wide), [
    'millrace top  jobs at nats://127.0.0.1:4222                                                 12:04:05',
    '13 jobs/s  127 pending  4 handed out  3 delayed  2 dead  ▁▄▆█',
    '',
    'handler        jobs/s  pending  ack_pending  redelivered  dead  oldest  pulls  paused',
    'audio.mix      -       7        0            0            0     -       0      -',
    'email.send     12      120      4            1            2     3m      1      -',
    'report.rollup  -       0        0            0            0     -       1      by sam@ops',
    'sum            0.3     0        0            0            0     -       1      -',
    '',
    'q quit  s order by: name',
  ])
})

test('whatever the terminal, no line is too wide and there are not too many', () => {
  const figures = { problem: undefined, isConnected: false, threads: {}, handlers: new Map() }
  const asked = {
    latest: [{ url: 'http://a-supervisor-far-away.example:9464/metrics', ...figures }],
    inFlightOf: () => 0,
    p95Of: () => undefined,
  }
  const evil = { 'x\u001b[2J\nforged': {}, 名前の長いハンドラ: { pending: 1 } }
  for (const columns of [1, 8, 20, 40, 60, 80, 200])
    for (const rows of [1, 2, 5, 7, 24])
      for (const problem of [
        undefined,
        'no NATS server answers at nats://127.0.0.1:4222, for a long time now',
      ]) {
        const lines = topLines(stateOf({ problem, supervisors: asked }, { ...some, ...evil }), {
          columns,
          rows,
          colours: false,
        })
        assert.ok(lines.length <= rows, `${lines.length} lines in ${rows} rows`)
        for (const line of lines) {
          assert.ok(textWidth(line) <= columns, `${columns}: ${line}`)
          assert.doesNotMatch(line, /\p{Cc}/u)
        }
      }
})

test('a narrow terminal does without columns before it cuts them', () => {
  const [, , , head] = topLines(stateOf({}, some), { ...wide, columns: 70 })
  assert.equal(head, 'handler        jobs/s  pending  ack_pending  dead  oldest  paused')
})

test('handlers are ordered, and scrolled when there is no room for all', () => {
  const shown = (state: TopState, rows = 12): (string | undefined)[] =>
    topLines(state, { ...wide, rows })
      .slice(4, -2)
      .map((line) => line.split(' ')[0])
  assert.deepEqual(shown(stateOf({ order: 'pending' }, some)).slice(0, 2), ['email.send', 'audio.mix'])
  assert.deepEqual(shown(stateOf({ order: 'jobs/s' }, some)).slice(0, 2), ['email.send', 'sum'])
  assert.equal(shown(stateOf({ order: 'dead' }, some))[0], 'email.send')
  assert.equal(topRoom({ rows: 8 }), 2)
  assert.deepEqual(shown(stateOf({ scrolled: 2 }, some), 8), ['report.rollup', 'sum'])
  assert.match(topLines(stateOf({ scrolled: 2 }, some), { ...wide, rows: 8 }).at(-1)!, /↑↓ 3 to 4 of 4$/)
})

test('what waits and is taken by nobody is red, what is paused yellow, what is idle dim', () => {
  const lines = topLines(stateOf({}, some), { ...wide, colours: true })
  const paintOf = (handler: string): string | undefined =>
    lines
      .find((line) => line.includes(handler))!
      .split('\u001b[')[1]
      ?.split('m')[0]
  assert.deepEqual(['audio.mix', 'email.send', 'report.rollup', 'sum'].map(paintOf), [
    '31',
    undefined,
    '33',
    undefined,
  ])
  assert.equal(paintOf('jobs/s  pending  ack'), '1')
})

test('supervisors that were asked have lines of their own, and add columns', () => {
  const handlers = new Map([['email.send', { inFlight: 4, durations: new Map() }]])
  const one = { url: 'http://a:9464/metrics', isConnected: true, threads: { busy: 2, idle: 1 }, handlers }
  const supervisors = {
    latest: [
      { ...one, problem: undefined },
      { ...one, problem: 'ECONNREFUSED', threads: {}, handlers: new Map() },
    ],
    inFlightOf: () => 4,
    p95Of: (handler: string) => ({ 'email.send': 0.0312, 'audio.mix': 75 })[handler],
  }
  const lines = topLines(stateOf({ supervisors }, some), { ...wide, rows: 14 })
  assert.equal(lines.length, 14)
  assert.match(lines[3]!, /^handler +jobs\/s +p95 +in_flight +pending/)
  assert.match(lines[4]!, /^audio.mix +- +1m +4 +7 /)
  assert.match(lines[5]!, /^email.send +12 +31ms +4 +120 /)
  assert.deepEqual(lines.slice(-6, -2), [
    '',
    'supervisor  state         busy  idle  stuck  in_flight',
    'a:9464      connected     2     1     0      4',
    'a:9464      ECONNREFUSED  0     0     0      0',
  ])
})

test('without a stream, and with a broker that is away, the view says so', () => {
  assert.match(topLines(stateOf({ queues: undefined }), wide)[1]!, /no stream of jobs yet/)
  assert.equal(topLines(stateOf({ problem: 'gone' }, some), wide)[1], 'gone')
})

test('a graph has the newest values, and fits', () => {
  assert.equal(graphOf([1, 2, 4], 2), '▅█')
  assert.equal(graphOf([0, 0], 5), '▁▁')
  assert.equal(graphOf([1], 0), '')
})
