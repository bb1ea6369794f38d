import assert from 'node:assert/strict'
import { test } from 'node:test'
import { World } from '../support/world.ts'

// Not a word that anything else could print, and short enough to fit into any quotation.
const marker = 'zq7marker9x'

const jobs: [what: string, handler: string, body: string | Uint8Array][] = [
  ['a job that completes', 'act', `{"do":"return","secret":"${marker}","${marker}":1}`],
  ['bytes that look like JSON for a moment', 'act', `{"do":"return","secret":"${marker}`],
  ['no JSON at all', 'act', marker],
  ['JSON and then more', 'io', `{"a":1} ${marker}`],
  [
    'bad UTF-8',
    'act',
    Buffer.concat([Buffer.from(`"${marker}`), Uint8Array.of(0xff, 0xfe), Buffer.from('"')]),
  ],
  ['a value that fails the schema', 'checked', `{"to":{"secret":"${marker}"}}`],
  ['a key that fails the schema', 'checked', `{"to":"a@b.c","${marker}":1}`],
  ['a payload that is thrown', 'act', `{"do":"throw-payload","${marker}":"${marker}"}`],
  ['a payload with an error code that is thrown', 'act', `{"do":"throw-payload","name":{"a":"${marker}"}}`],
  [
    'a rejection with the payload that floats',
    'act',
    `{"do":"float-rejection","reason":{"${marker}":"${marker}"}}`,
  ],
  ['the same on a shared thread', 'io', `{"do":"float-rejection","reason":{"${marker}":"${marker}"}}`],
  ['a result that is the payload', 'act', `{"do":"return-payload","secret":"${marker}"}`],
  ['a process.exit', 'act', `{"do":"exit","exitCode":1,"secret":"${marker}"}`],
  ['a deadline', 'act', `{"do":"loop","secret":"${marker}"}`],
  ['a full heap', 'act', `{"do":"fill-heap","secret":"${marker}"}`],
  ['a handler that nobody has', 'nobody', `{"secret":"${marker}"}`],
]

test('G10: no byte of a payload is in a log line, an error header, a metric or on stderr', async (t) => {
  const world = await World.create(t, {
    env: {
      MILLRACE_MAX_ATTEMPTS: '2',
      MILLRACE_DEADLINE_MS: '1500',
      MILLRACE_GRACE_MS: '100',
      MILLRACE_THREAD_MEMORY_MB: '48',
      MILLRACE_LOG_LEVEL: 'trace',
    },
  })
  const supervisor = await world.supervise()
  const { broker } = world
  const ids = new Map<string, string>()
  for (const [what, handler, body] of jobs) ids.set(await broker.enqueue(handler, body), what)
  // Bytes in a header of the job are not payload, but a refused value must not be quoted without end.
  const refused = await broker.enqueue('act', `"${marker}"`, { headers: { 'Millrace-Max-Attempts': 'x' } })
  await broker.deadLetter(refused)
  // What is left is the one that nobody has.
  await broker.leaves(1, 60_000)
  const metrics = await supervisor.metrics()
  await supervisor.stop()

  assert.ok(!metrics.text.includes(marker), 'it is in a metric')
  for (const line of supervisor.output.split('\n')) assert.ok(!line.includes(marker), line)
  for (const letter of await broker.deadLetters()) {
    for (const [name, value] of Object.entries(letter.headers)) {
      assert.ok(!value.includes(marker), `${ids.get(letter.jobId)}: ${name}: ${value}`)
    }
  }
})

test("G10: the message of a handler's own error is recorded, but a floating one is not on stderr", async (t) => {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '1' } })
  const supervisor = await world.supervise()
  const { broker } = world
  const own = await broker.enqueue('act', { do: 'throw', message: 'the card was declined' })
  assert.equal((await broker.deadLetter(own)).headers['Millrace-Error-Message'], 'the card was declined')
  const floating = await broker.enqueue('act', { do: 'float-rejection', reason: marker })
  await broker.deadLetter(floating)
  await supervisor.stop()
  assert.ok(!supervisor.stderr.includes(marker), supervisor.stderr)
})
