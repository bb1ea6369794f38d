import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { millrace, startMillrace } from '../support/command-line.ts'
import { eventually } from '../support/eventually.ts'
import { projectRoot } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

const handlers = join(projectRoot, 'test/fixtures/handlers/results')
const nobody = { NATS_URL: 'nats://127.0.0.1:1' }

async function createWorld(t: TestContext) {
  const world = await World.create(t, { env: { MILLRACE_HANDLERS: handlers } })
  const env = { NATS_URL: world.server.url }
  return { world, run: (args: string[], stdin?: string | Uint8Array) => millrace(args, env, stdin) }
}

test('wrong usage is one message on stderr and exit 2, and help is data', async () => {
  const [mistyped, help] = await Promise.all([
    millrace(['enqueue', 'a', '{}', '--kee', 'k'], nobody),
    millrace(['--help'], nobody),
  ])
  const message = 'error: --kee is not a flag of millrace enqueue, did you mean --key?\n'
  assert.deepEqual(mistyped, { code: 2, stdout: '', stderr: message })
  assert.deepEqual([help.code, help.stderr], [0, ''])
  assert.match(help.stdout, /enqueue <handler>/)
})

test('a broker that cannot be reached is exit 4 after 5 s, and wrong settings are 1', async (t) => {
  // Accepts, and never says a word: the worst that a broker can do.
  const mute = createServer().listen(0, '127.0.0.1')
  t.after(() => mute.close())
  await new Promise((resolve) => mute.once('listening', resolve))
  const { port } = mute.address() as { port: number }
  const startedAt = performance.now()
  const [refused, silent, settings] = await Promise.all([
    millrace(['pause', 'a'], nobody),
    millrace(['enqueue', 'a', '1', '--json'], { NATS_URL: `nats://127.0.0.1:${port}` }),
    millrace(['resume', 'a'], { ...nobody, MILLRACE_NAMESPACE: 'Not That' }),
  ])
  assert.ok(performance.now() - startedAt < 30_000)
  assert.equal(refused.code, 4)
  assert.match(refused.stderr, /^error: no NATS server answers at nats:\/\/127\.0\.0\.1:1 .*NATS_URL\n$/)
  assert.deepEqual([silent.code, silent.stdout], [4, ''])
  assert.match(silent.stderr, /^error: [^\n]*\n$/)
  assert.equal(settings.code, 1)
  assert.match(settings.stderr, /MILLRACE_NAMESPACE must be/)
})

test('a job is enqueued from an argument, a file or stdin, and its result is told', async (t) => {
  const { world, run } = await createWorld(t)
  const missing = await run(['enqueue', 'answer', '1'])
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /there is no stream JOBS; a supervisor/)
  await world.supervise()

  // More digits than a number of JavaScript has: the text must arrive as it is.
  const text = '{"do":"return-value","value":{"ä":[1,2]},"exact":12345678901234567890}'
  const plain = await run(['enqueue', 'answer', text, '--id', 'one', '--header', 'X-Tenant:blau: rot'])
  assert.deepEqual([plain.code, plain.stdout], [0, 'one\n'])
  assert.match(plain.stderr, /stored as JOBS 1/)
  const again = await run(['enqueue', 'answer', text, '--id', 'one', '--json'])
  assert.equal(again.code, 0)
  assert.deepEqual(JSON.parse(again.stdout), { id: 'one', stream: 'JOBS', sequence: 1, duplicate: true })
  const file = join(world.folder, 'payload.json')
  writeFileSync(file, '{"do":"return-nothing"}')
  const [fromFile, fromStdin, dead] = await Promise.all([
    run(['enqueue', 'answer', `@${file}`, '--json']),
    run(['enqueue', 'answer', '-', '--in', '10ms'], '{"do":"return-large","bytes":100000}'),
    run(['enqueue', 'answer', '{"do":"permanent"}', '--id', 'dead']),
  ])
  assert.equal(dead.code, 0)

  const result = await run(['result', 'one', '--wait', '60s'])
  assert.deepEqual(result, { code: 0, stdout: '{"ä":[1,2]}\n', stderr: '' })
  const { id } = JSON.parse(fromFile.stdout) as { id: string }
  const nothing = await run(['result', id, '--wait', '60s'])
  assert.deepEqual(nothing, { code: 0, stdout: '', stderr: '' })
  const large = await run(['result', fromStdin.stdout.trim(), '--wait', '60s', '--json'])
  assert.equal(large.code, 0)
  const row = JSON.parse(large.stdout) as Record<string, unknown>
  assert.deepEqual(Object.keys(row), ['job_id', 'handler', 'outcome', 'attempts', 'at', 'error'])
  assert.match(large.stderr, /result_too_large/)
  const given = await run(['result', 'dead', '--wait', '60s', '--json'])
  assert.equal(given.code, 1)
  assert.match(given.stderr, /dead is a dead letter: permanent/)
  assert.equal((JSON.parse(given.stdout) as Record<string, unknown>)['reason'], 'permanent')
  for (const unknown of await Promise.all([run(['result', 'x']), run(['result', 'x', '--wait', '100ms'])])) {
    assert.deepEqual([unknown.code, unknown.stdout], [3, ''])
    assert.match(unknown.stderr, /lacks `result: true`/)
  }
})

test('bytes that are no JSON go as they are, no payload is an empty body, and a file has a job a line', async (t) => {
  const { world, run } = await createWorld(t)
  await world.broker.jsm.streams.add({ name: 'JOBS', subjects: ['jobs.>'] })
  const bytes = Uint8Array.of(0, 255, 10, 13)
  await run(['enqueue', 'a.b', '-', '--header', 'Content-Type:application/gzip'], bytes)
  await run(['enqueue', 'a.b', '--header', 'Millrace-Deadline-Ms:5000'])
  const [first, second] = await Promise.all(
    [1, 2].map((seq) => world.broker.jsm.streams.getMessage('JOBS', { seq })),
  )
  assert.deepEqual([...first!.data], [...bytes])
  assert.equal(first!.header.get('Content-Type'), 'application/gzip')
  assert.equal(second!.data.length, 0)
  assert.equal(second!.header.get('Millrace-Deadline-Ms'), '5000')

  const lines = join(world.folder, 'jobs.ndjson')
  writeFileSync(lines, '{"exact":12345678901234567890}\r\n\n{"broken"\n[2]')
  const twice = ['enqueue', 'many', '--file', lines, '--id', 'row', '--json']
  const once = await run(twice)
  assert.deepEqual(once, {
    code: 1,
    stdout: '{"stored":2,"duplicates":0,"failed":1}\n',
    stderr: 'line 3: it is not valid JSON\nstored 2, 0 were duplicates, 1 failed\n',
  })
  assert.match((await run(twice)).stdout, /"stored":0,"duplicates":2,"failed":1/)
  const message = await world.broker.jsm.streams.getMessage('JOBS', { last_by_subj: 'jobs.many' })
  assert.equal(message?.header.get('Nats-Msg-Id'), 'row:4')
  assert.equal(message?.string(), '[2]')
  assert.equal((await run([...twice, '1'])).code, 2)
  assert.equal((await run(['enqueue', 'many', '--file', `${lines}.missing`])).code, 2)
})

test('pause, resume and cancel say what they did', async (t) => {
  const { world, run } = await createWorld(t)
  await world.supervise()
  const paused = await run(['pause', 'answer', '--json'])
  assert.deepEqual([paused.code, JSON.parse(paused.stdout)], [0, { handler: 'answer', paused: true }])
  const resumed = await run(['resume', 'answer'])
  assert.deepEqual(resumed, { code: 0, stdout: '', stderr: 'answer is not paused\n' })
  const cancelled = await run(['cancel', 'some id', '--json'])
  assert.deepEqual([cancelled.code, JSON.parse(cancelled.stdout)], [0, { id: 'some id', cancelled: true }])
})

test('schedules are listed with their newest ticks', async (t) => {
  const { world, run } = await createWorld(t)
  const none = await run(['schedules', 'ls', '--json'])
  assert.deepEqual([none.code, none.stdout], [0, '[]\n'])
  await world.broker.jsm.streams.add({
    name: 'JOBS_TICKS',
    subjects: ['ticks.jobs.>'],
    max_msgs_per_subject: 1,
  })
  const tick = { instant: '2026-01-31T12:00:00.000Z', state: 'published', sequence: 7 }
  await world.broker.js.publish('ticks.jobs.report.rollup', JSON.stringify(tick))
  await world.broker.js.publish('ticks.jobs.odd', 'no JSON')
  const { code, stdout } = await run(['schedules', 'ls', '--json'])
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(stdout), [
    { schedule: 'odd', handler: 'odd', last_tick: null, state: null },
    { schedule: 'report.rollup', handler: 'report.rollup', last_tick: tick.instant, state: 'published' },
  ])
  assert.match((await run(['schedules', 'ls'])).stdout, /^schedule +handler +last_tick +state\n/)
})

test('start is a supervisor, with its exit codes', async (t) => {
  const { world } = await createWorld(t)
  const env = { ...nobody, MILLRACE_STARTUP_MS: '0', MILLRACE_HTTP_PORT: '0', MILLRACE_HANDLERS: handlers }
  const [wrong, away] = await Promise.all([
    millrace(['start'], { ...env, MILLRACE_THREADS: 'many' }),
    millrace(['start', '--json'], env),
  ])
  assert.deepEqual([wrong.code, away.code], [78, 69])
  const supervisor = startMillrace(['start'], { ...env, NATS_URL: world.server.url })
  t.after(() => supervisor.kill('SIGKILL'))
  await eventually('it runs', () => supervisor.stdout.includes('"msg":"running"'))
  supervisor.kill('SIGTERM')
  assert.equal((await supervisor.ended).code, 0)
})
