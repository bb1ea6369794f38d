import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { headers as createHeaders } from '@nats-io/transport-node'
import { millrace } from '../support/command-line.ts'
import { World } from '../support/world.ts'

type Row = Record<string, unknown>

async function createWorld(t: TestContext) {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '2' } })
  const env = { NATS_URL: world.server.url }
  const run = (...args: string[]) => millrace(['dead', ...args], env)
  const rows = async (...args: string[]): Promise<Row[]> => {
    const { code, stdout, stderr } = await run(...args, '--json')
    assert.deepEqual([code, stderr], [0, ''])
    return JSON.parse(stdout) as Row[]
  }
  return {
    world,
    run,
    rows,
    ids: async (...args: string[]) => (await rows(...args)).map((row) => row['job_id']),
  }
}

test('dead letters are listed, shown and exported', async (t) => {
  const { world, run, rows, ids } = await createWorld(t)
  const { broker } = world
  const missing = await run('ls')
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /^error: there is no stream JOBS_DEAD; a supervisor/)
  await world.supervise()
  assert.deepEqual(await run('ls', '--json'), { code: 0, stdout: '[]\n', stderr: '' })
  assert.deepEqual(await run('ls'), { code: 0, stdout: '', stderr: 'no dead letter\n' })

  // One after the other, so that they die in this order.
  const json = '{"do":"throw", "message":"no \\u001b[31maccount",\n "exact":12345678901234567890}'
  const headers = { 'X-Tenant': 'blue', 'X-Many': ['one', 'two'] }
  await broker.deadLetter(await broker.enqueue('act', json, { id: 'order-7', headers }))
  const afterFirst = new Date().toISOString()
  const csv = 'a;b;\u00fc\n'
  await broker.deadLetter(await broker.enqueue('act', csv, { id: 'text' }))
  const bytes = Uint8Array.of(0, 255, 10, 13)
  const expired = { 'Millrace-Expires-At': '2020-01-01T00:00:00Z' }
  await broker.deadLetter(await broker.enqueue('bytes', bytes, { id: 'bytes', headers: expired }))
  await broker.deadLetter(await broker.enqueue('act', '', { id: '99', headers: expired, priority: 'high' }))

  const all = await rows('ls')
  const { dead_at, ...first } = all[0]!
  assert.deepEqual(first, {
    seq: 1,
    job_id: 'order-7',
    handler: 'act',
    reason: 'exhausted',
    attempts: 2,
    error_code: 'handler_error',
    error_message: 'no  [31maccount',
  })
  assert.equal(new Date(String(dead_at)).toISOString(), dead_at)
  assert.deepEqual(await ids('ls'), ['order-7', 'text', 'bytes', '99'])

  await t.test('the selection is by handler, reason, time, error, sequence and job id', async () => {
    assert.deepEqual(await ids('ls', '--handler', 'bytes'), ['bytes'])
    assert.deepEqual(await ids('ls', '--reason', 'expired', '--handler', 'act'), ['99'])
    assert.deepEqual(await ids('ls', '--since', afterFirst), ['text', 'bytes', '99'])
    assert.deepEqual(await ids('ls', '--since', '1h', '--limit', '2'), ['order-7', 'text'])
    assert.deepEqual(await ids('ls', '--error', 'INVALID_j'), ['text'])
    assert.deepEqual(await ids('ls', 'bytes', '2', '99'), ['text', 'bytes', '99'])
    const some = await run('ls', '3', 'nobody', '--json')
    assert.deepEqual([some.code, some.stderr], [3, 'there is no dead letter nobody\n'])
    assert.equal((JSON.parse(some.stdout) as Row[]).length, 1)
  })

  await t.test('the table has a line for each and no control character', async () => {
    const { stdout } = await run('ls')
    const lines = stdout.trimEnd().split('\n')
    assert.equal(lines.length, 5)
    assert.match(lines[0]!, /^seq +job_id +handler +reason +attempts +dead_at +error$/)
    assert.match(lines[1]!, /^1 +order-7 +act +exhausted +2 .* handler_error: no {2}\[31maccount$/)
  })

  await t.test('one is shown by its sequence or its job id', async () => {
    const shown = await run('show', 'order-7', '--json', '--payload')
    assert.equal(shown.code, 0)
    assert.ok(shown.stdout.includes('12345678901234567890'))
    const letter = JSON.parse(shown.stdout) as Row
    const { headers: told, history, payload, payload_encoding, ...row } = letter
    assert.deepEqual(row, all[0])
    assert.equal((told as Row)['X-Tenant'], 'blue')
    assert.deepEqual((told as Row)['X-Many'], ['one', 'two'])
    assert.deepEqual(
      (history as Row[]).map(({ attempt, outcome }) => [attempt, outcome]),
      [
        [1, 'failed'],
        [2, 'failed'],
      ],
    )
    assert.equal(payload_encoding, 'json')
    assert.equal((payload as Row)['do'], 'throw')
    const bare = JSON.parse((await run('show', '1', '--json')).stdout) as Row
    assert.deepEqual(Object.keys(bare), [...Object.keys(row), 'headers', 'history'])
    const frames = history as { stack?: readonly string[] }[]
    assert.equal(frames[0]!.stack, undefined)
    assert.match(frames[1]!.stack![0]!, /^errorOf \(test\/fixtures\/handlers\/sound\/_moves\.mjs:\d+:\d+\)$/)
    const failed = await run('show', 'order-7')
    assert.match(
      failed.stdout,
      /\nattempt 2 failed\n {2}at errorOf \(\S+_moves\.mjs:\d+:\d+\)\n(?: {2}at .+\n)+\nheaders\n/,
    )
    const people = await run('show', '99', '--payload')
    assert.match(people.stdout, /^sequence +4\njob id +99\nhandler +act\nreason +expired\n/)
    assert.ok(!(await run('show', 'order-7', '--payload')).stdout.includes('\u001b'))
    const nobody = await run('show', '100', '--json')
    assert.deepEqual(nobody, { code: 3, stdout: '', stderr: 'there is no dead letter 100\n' })
  })

  await t.test('an export is one array, an element a line, and loses no byte of a payload', async () => {
    const { code, stdout } = await run('export')
    assert.equal(code, 0)
    assert.equal(stdout.trimEnd().split('\n').length, 5)
    const exported = JSON.parse(stdout) as Row[]
    assert.deepEqual(
      exported.map((letter) => [letter['payload_encoding'], typeof letter['payload']]),
      [
        ['json', 'object'],
        ['text', 'string'],
        ['base64', 'string'],
        ['empty', 'object'],
      ],
    )
    assert.equal(exported[1]!['payload'], csv)
    assert.deepEqual(Buffer.from(String(exported[2]!['payload']), 'base64'), Buffer.from(bytes))
    assert.equal(exported[3]!['payload'], null)
  })
})

test('a replay starts the job again where it was, without what its death had added', async (t) => {
  const { world, run, ids } = await createWorld(t)
  const { broker, ledger } = world
  await world.supervise()
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const headers = { 'Millrace-Expires-At': '2020-01-01T00:00:00Z', 'X-Tenant': 'blue', traceparent }
  const id = await broker.enqueue('act', { do: ['see', 'return'] }, { headers, priority: 'high' })
  assert.equal(id, 'JOBS_HIGH:1')
  const before = await broker.deadLetter(id)

  assert.deepEqual(await run('replay', '--dry-run', '--json'), {
    code: 0,
    stdout: '{"count":1}\n',
    stderr: '',
  })
  assert.deepEqual(await run('replay', '--dry-run'), {
    code: 0,
    stdout: '1 dead letter would be replayed\n',
    stderr: '',
  })
  const replayed = await run('replay', id)
  assert.deepEqual(replayed, { code: 0, stdout: '', stderr: 'replayed 1 dead letter\n' })
  await broker.streamLeaves('JOBS_HIGH', 0)
  const [seen] = ledger.of(id, 'seen')
  assert.equal(seen?.attempt, 1)
  assert.equal(seen['subject'], 'high.jobs.act')
  assert.equal(seen['enqueuedAt'], before.headers['Millrace-Enqueued-At'])
  assert.deepEqual(seen['headers'], { 'x-tenant': 'blue', traceparent, 'millrace-replays': '1' })
  assert.deepEqual(await ids('ls'), [])

  // A job that dies again says how often it was replayed, and is left alone until the next replay.
  const again = await broker.enqueue('act', { do: 'permanent' }, { headers: { 'X-Tenant': 'red' } })
  const first = await broker.deadLetter(again)
  assert.equal((await run('replay', '--json')).stdout, '{"count":1,"refused":0}\n')
  await broker.drained()
  const [second] = await broker.deadLetters()
  const named = /^(Nats-|Millrace-(Replays|Sequence|Dead-At|History)$)/
  const rest = (letter: typeof first) => Object.entries(letter.headers).filter(([name]) => !named.test(name))
  assert.deepEqual(rest(second!), rest(first))
  assert.equal(second!.headers['Millrace-Replays'], '1')
  assert.deepEqual(Buffer.from(second!.body), Buffer.from(first.body))
  await run('replay')
  await broker.drained()
  assert.equal((await broker.deadLetters())[0]!.headers['Millrace-Replays'], '2')
  assert.deepEqual(ledger.attempts(again), [1, 1, 1])
})

test('a payload is edited before it is replayed, and one that is emptied stays', async (t) => {
  const { world, rows } = await createWorld(t)
  const { broker, ledger } = world
  await world.supervise()
  const id = await broker.enqueue('act', { do: 'permanent', exact: 1 })
  await broker.deadLetter(id)
  const edit = (editor: string, ...args: string[]) =>
    millrace(['dead', 'replay', '--edit', ...args], { NATS_URL: world.server.url, EDITOR: editor })
  const staying = 'dead letter 1 stays where it is: '
  assert.deepEqual(await edit('echo >', '--json'), {
    code: 1,
    stdout: '{"count":0,"refused":1}\n',
    stderr: `${staying}what was edited is not valid JSON\nreplayed 0 dead letters\n`,
  })
  assert.match((await edit('true >')).stderr, new RegExp(`^${staying}the file was emptied\n`))
  const failed = await edit('false', '--json')
  assert.deepEqual([failed.code, failed.stdout], [2, ''])
  assert.match(failed.stderr, /error: the editor false ended with 1; nothing more is replayed\n$/)
  assert.match((await edit('no-such-editor')).stderr, /ended with 127; name one in EDITOR/)
  assert.deepEqual(ledger.attempts(id), [1])

  const done = await edit('sed -i "s/permanent/return/"', '--yes')
  assert.deepEqual([done.code, done.stderr], [0, 'replayed 1 dead letter\n'])
  await broker.drained()
  assert.deepEqual(ledger.attempts(id), [1, 1])
  assert.deepEqual(await rows('ls'), [])
})

test('a replayed job whose time has not come waits for it and runs once', async (t) => {
  const { world, run } = await createWorld(t)
  const { broker, ledger } = world
  await world.supervise()
  const env = { NATS_URL: world.server.url }
  await millrace(['cancel', 'later'], env)
  await broker.enqueue(
    'act',
    { do: 'return' },
    { id: 'later', headers: { 'Millrace-Run-At': new Date(Date.now() + 4_000).toISOString() } },
  )
  assert.equal((await broker.deadLetter('later')).reason, 'cancelled')
  assert.equal((await run('replay', 'later')).code, 0)
  await broker.drained()
  await broker.streamLeaves('JOBS_DELAYED', 0)
  await broker.drained()
  assert.equal(ledger.ends('later').length, 1)
})

test('what cannot be replayed stays where it is, and the others are replayed', async (t) => {
  const { world, run, ids } = await createWorld(t)
  const { broker, ledger } = world
  const supervisor = await world.supervise()
  const { config } = await broker.jsm.streams.info('JOBS')
  const store = (id: string, subject: string, body: string) =>
    broker.js.publish('dead.jobs.act', body, { headers: asDead(id, subject) })
  await store('foreign', '$JS.API.STREAM.DELETE.JOBS', '{}')
  await store('large', 'jobs.act', 'x'.repeat(config.max_msg_size! - 100))
  await store('good', 'jobs.act', '{"do":"return"}')
  await broker.js.publish('dead.jobs.act', 'by hand')
  const { code, stderr } = await run('replay', '--rate', '50')
  assert.equal(code, 1)
  assert.match(stderr, /dead letter 1 stays where it is: its Millrace-Subject is "\$JS\.API/)
  assert.match(stderr, /dead letter 2 stays where it is: the message to jobs\.act has more than/)
  assert.match(stderr, /dead letter 4 stays .* is ""/)
  assert.match(stderr, /replayed 1 dead letter\n$/)
  await broker.drained()
  assert.equal(ledger.ends('good').length, 1)
  assert.deepEqual(await ids('ls'), ['foreign', 'large', null])

  // A stream that is full, or gone, ends it, and everything is there for the next time.
  await store('next', 'jobs.act', '{"do":"return"}')
  await supervisor.stop()
  await broker.jsm.streams.update('JOBS', { ...config, max_msgs: 1 })
  await broker.enqueue('nobody', '{}')
  const full = await run('replay', 'next')
  assert.deepEqual([full.code, full.stderr.includes('is full')], [1, true])
  await broker.jsm.streams.delete('JOBS')
  const gone = await run('replay', 'next')
  assert.deepEqual([gone.code, gone.stderr.includes('there is no stream JOBS;')], [1, true])
  assert.deepEqual(await ids('ls', 'next'), ['next'])
})

test('dead letters are discarded, and only those', async (t) => {
  const { world, run, ids } = await createWorld(t)
  const { broker } = world
  await world.supervise()
  const store = (id: string) => broker.js.publish('dead.jobs.act', '{}', { headers: asDead(id, 'jobs.act') })
  for (let n = 1; n <= 300; n += 1) await store(`job-${n}`)
  assert.equal((await run('discard', '--dry-run', '--json', '--limit', '7')).stdout, '{"count":7}\n')
  const some = await run('discard', 'job-1', '3', 'nobody', '--json')
  assert.deepEqual([some.code, some.stdout], [3, '{"count":2,"refused":0}\n'])
  assert.match(some.stderr, /there is no dead letter nobody/)
  assert.deepEqual(await ids('ls', '--limit', '2'), ['job-2', 'job-4'])
  assert.equal((await run('discard', '--yes', '--limit', '290', '--reason', 'permanent')).code, 0)
  assert.deepEqual(await ids('ls', '--limit', '2'), ['job-293', 'job-294'])
  assert.deepEqual(await run('discard', '--reason', 'expired'), {
    code: 0,
    stdout: '',
    stderr: 'discarded 0 dead letters\n',
  })
  assert.equal((await run('discard')).code, 0)
  assert.deepEqual(await ids('ls'), [])
})

test('wrong usage is 2 and a broker that cannot be reached 4', async () => {
  const env = { NATS_URL: 'nats://127.0.0.1:1' }
  const wrong = [
    ['dead'],
    ['dead', 'show'],
    ['dead', 'ls', '--reason', 'bored'],
    ['dead', 'ls', '--limit', '0'],
    ['dead', 'replay', '--rate', 'fast'],
    ['dead', 'ls', '--since', 'yesterday'],
    ['dead', 'discard', '--handler', 'a b'],
  ]
  const runs = await Promise.all(wrong.map((args) => millrace(args, env)))
  assert.deepEqual(
    runs.map(({ code, stdout }) => [code, stdout]),
    wrong.map(() => [2, '']),
  )
  for (const { stderr } of runs) assert.match(stderr, /^error: [^\n]*\n$/)
  assert.equal((await millrace(['dead', 'ls'], env)).code, 4)
})

/** The headers of a dead letter that nobody's job has left. */
function asDead(id: string, subject: string) {
  const headers = createHeaders()
  headers.set('Millrace-Dead-Reason', 'permanent')
  headers.set('Millrace-Job-Id', id)
  headers.set('Millrace-Subject', subject)
  return headers
}
