import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { figuresOf, metricsUrl, readFigures } from '#src/cli/supervisor-figures.js'
import { quantileOf, TopSupervisors } from '#src/cli/top-supervisors.js'

/** A page of metrics, with attempts that took at most 0.1 s, 1 s and longer. */
function pageOf(inFlight: number, ...counts: readonly [number, number, number]): string {
  const buckets = ['0.1', '1', '+Inf'].map(
    (le, index) => `millrace_job_duration_seconds_bucket{le="${le}",handler="sum"} ${counts[index]}`,
  )
  return [
    '# HELP millrace_nats_connected 1 while connected to NATS',
    'millrace_nats_connected 1',
    'millrace_threads{pool="cpu",state="busy"} 2',
    'millrace_threads{pool="io",state="busy"} 1',
    'millrace_threads{pool="io",state="idle"} 1',
    `millrace_jobs_in_flight{handler="sum"} ${inFlight}`,
    ...buckets,
    '',
  ].join('\n')
}

test('a page of metrics says what a supervisor does', () => {
  const { isConnected, threads, handlers } = figuresOf('u', pageOf(3, 1, 2, 2))
  assert.deepEqual([isConnected, threads], [true, { busy: 3, idle: 1 }])
  assert.deepEqual(handlers.get('sum'), {
    inFlight: 3,
    durations: new Map([
      [0.1, 1],
      [1, 2],
      [Number.POSITIVE_INFINITY, 2],
    ]),
  })
})

test('supervisors are added up, and p95 is that of the attempts since the first look', () => {
  const supervisors = new TopSupervisors()
  const look = (...pages: string[]): void => supervisors.add(pages.map((page) => figuresOf('u', page)))
  look(pageOf(1, 0, 100, 100), pageOf(2, 0, 0, 0))
  assert.deepEqual([supervisors.inFlightOf('sum'), supervisors.inFlightOf('none')], [3, 0])
  assert.equal(supervisors.p95Of('sum'), undefined, 'nothing has ended since')
  look(pageOf(1, 50, 150, 150), pageOf(2, 50, 50, 50))
  assert.equal(supervisors.p95Of('sum')?.toFixed(3), '0.095')
  // It has begun anew.
  look(pageOf(0, 0, 0, 10))
  assert.equal(supervisors.p95Of('sum'), 1)
})

test('a quantile is within its bucket', () => {
  assert.equal(quantileOf(0.5, new Map()), undefined)
  const counts = [
    [1, 0],
    [2, 10],
    [Number.POSITIVE_INFINITY, 20],
  ] as const
  assert.equal(quantileOf(0.25, new Map(counts)), 1.5)
  assert.equal(quantileOf(0.9, new Map(counts)), 2)
})

test('an address is made whole, and what is none is told', async () => {
  assert.equal(metricsUrl('10.0.0.5:9464'), 'http://10.0.0.5:9464/metrics')
  assert.equal(metricsUrl('https://a.example/m/metrics'), 'https://a.example/m/metrics')
  for (const wrong of ['ftp://a', 'a b', ''])
    assert.throws(() => metricsUrl(wrong), { code: 'invalid_arguments' })
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  const { problem, isConnected } = await readFigures(`http://127.0.0.1:${port}/metrics`)
  assert.deepEqual([problem, isConnected], ['ECONNREFUSED', false])
})
