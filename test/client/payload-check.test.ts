import assert from 'node:assert/strict'
import { test } from 'node:test'
import { composeJob, type EnqueueOptions } from '#src/client/new-job.js'
import { payloadCheck } from '#src/client/payload-check.js'
import { namesFor } from '#src/core/names.js'

const secret = 'hush'

function schema(validate: (value: unknown) => unknown) {
  return { '~standard': { version: 1, vendor: 'test', validate } }
}

/** Accepts text that is a date, as it is after its way through JSON. */
const dateText = schema((value) =>
  typeof value === 'string' && !Number.isNaN(Date.parse(value))
    ? { value }
    : { issues: [{ message: secret }] },
)

const handlers = {
  definition: { schema: dateText, run() {} },
  file: { default: { schema: dateText, run() {} } },
  later: { schema: schema(async (value) => (value === 7 ? { value } : { issues: [1, 2] })) },
  broken: { schema: schema(() => assert.fail(secret)) },
  'broken.later': { schema: schema(() => Promise.reject(new Error(secret))) },
  silent: { schema: schema(() => undefined) },
  bytes: { schema: schema((value) => (value instanceof Uint8Array ? { value } : { issues: [1] })) },
  nothing: { schema: schema((value) => (value === undefined ? { value } : { issues: [1] })) },
  plain: () => {},
}
const check = payloadCheck(handlers)!

/** What is refused is refused without a word of the payload; resolves to how. */
async function verdict(handler: string, payload: unknown, options: EnqueueOptions = {}): Promise<string> {
  const job = composeJob(namesFor('jobs'), handler, payload, options, 0)
  try {
    await check(job)
    return 'accepted'
  } catch (error) {
    const { code, message, cause } = error as { code: string; message: string; cause: unknown }
    assert.equal(code, 'invalid_job')
    assert.ok(!message.includes(secret))
    assert.equal(cause, undefined)
    return message
  }
}

test('a schema sees the payload as the handler will, and what it refuses is counted and not quoted', async () => {
  for (const name of ['definition', 'file']) {
    assert.equal(await verdict(name, new Date(0)), 'accepted')
    assert.equal(await verdict(name, secret), `the payload does not match the schema of ${name} (1 issue)`)
  }
  assert.equal(await verdict('later', 7), 'accepted')
  assert.match(await verdict('later', secret), /\(2 issues\)/)
  for (const name of ['broken', 'broken.later', 'silent'])
    assert.match(await verdict(name, secret), /the schema of .* failed/)
  assert.equal(await verdict('bytes', Uint8Array.of(7)), 'accepted')
  assert.equal(await verdict('bytes', 'text', { headers: { 'content-type': 'text/plain' } }), 'accepted')
  assert.match(await verdict('bytes', 'text'), /1 issue/)
  assert.equal(await verdict('nothing', undefined), 'accepted')
  const json = { headers: { 'content-type': 'application/json' } }
  assert.equal(await verdict('definition', Buffer.from('"2026-01-31"'), json), 'accepted')
  assert.match(await verdict('definition', Buffer.from(secret), json), /not valid JSON/)
})

test('a handler without a schema, and one that is not at hand, take anything', async () => {
  assert.equal(await verdict('plain', secret), 'accepted')
  assert.equal(await verdict('constructor', secret), 'accepted')
  assert.equal(payloadCheck({}), undefined)
  assert.equal(payloadCheck({ plain: handlers.plain, odd: null, other: 7 }), undefined)
})
