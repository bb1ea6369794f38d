import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PermanentFailure } from '#src/core/errors.js'
import type { StandardSchema } from '#src/core/handler-definition.js'
import { InvalidPayload } from '#src/threads/payload.js'
import { checkPayload, outcomeOfSchemaFailure, SchemaFailure } from '#src/threads/schema.js'

const secret = 'S3cr3t-Tok3n'

function schemaOf(validate: (value: unknown) => unknown): StandardSchema {
  return { '~standard': { version: 1, vendor: 'fixture', validate } } as StandardSchema
}

async function failureOf(validate: (value: unknown) => unknown): Promise<SchemaFailure> {
  try {
    await checkPayload(schemaOf(validate), secret)
  } catch (error) {
    assert.ok(error instanceof SchemaFailure, String(error))
    return error
  }
  throw new Error('the schema did not fail')
}

test('a schema gives its output back, at once or later, also by a promise of another library', async () => {
  assert.equal(
    checkPayload(
      schemaOf((value) => ({ value: `${value}!` })),
      'a',
    ),
    'a!',
  )
  assert.equal(
    await checkPayload(
      schemaOf(async (value) => ({ value: `${value}!` })),
      'a',
    ),
    'a!',
  )
  const thenable = schemaOf((value) => ({
    // biome-ignore lint/suspicious/noThenProperty: being no real promise is the point.
    then: (resolve: (result: unknown) => void) => resolve({ value: `${value}!` }),
  }))
  assert.equal(await checkPayload(thenable, 'a'), 'a!')
})

test('issues of any shape make a payload invalid', async () => {
  for (const issues of [[{ message: secret }], [], secret, { 0: secret }, true]) {
    await assert.rejects(
      async () =>
        checkPayload(
          schemaOf(() => ({ issues })),
          secret,
        ),
      (error) =>
        error instanceof InvalidPayload &&
        /\(\d issues?\)$/.test(error.message) &&
        !error.message.includes(secret),
    )
  }
})

test('G10: what a schema throws is a failed attempt whose error quotes nothing', async () => {
  const quoting = new TypeError(`cannot read ${secret}`)
  for (const validate of [
    () => {
      throw quoting
    },
    () => Promise.reject(quoting),
    () => {
      throw secret
    },
    () => Promise.reject({ code: secret, message: secret }),
    () => null,
    () => secret,
  ]) {
    const outcome = outcomeOfSchemaFailure(await failureOf(validate))
    assert.equal(outcome.kind, 'failed')
    assert.ok(!JSON.stringify(outcome).includes(secret), JSON.stringify(outcome))
    assert.equal(outcome.kind === 'failed' && outcome.error.code, 'handler_error')
  }
})

test('a schema may steer as a handler may', async () => {
  const permanent = outcomeOfSchemaFailure(
    await failureOf(() => {
      throw new PermanentFailure(secret)
    }),
  )
  assert.deepEqual(permanent.kind === 'failed' && permanent.steer, { kind: 'permanent' })
  assert.ok(!JSON.stringify(permanent).includes(secret))
  const snoozed = outcomeOfSchemaFailure(
    await failureOf(() => Promise.reject({ code: 'snooze', delayMs: 7 })),
  )
  assert.deepEqual(snoozed, { kind: 'snoozed', delayMs: 7 })
})
