import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exitCodeOf } from '#src/config/exit-code.js'
import { MillraceError } from '#src/core/errors.js'

test('an error at start ends the process with the exit code of the contract', () => {
  const expected = {
    invalid_settings: 78,
    handlers_missing: 78,
    broker_unreachable: 69,
    jetstream_disabled: 69,
    not_permitted: 77,
    internal: 70,
  } as const
  for (const [code, exitCode] of Object.entries(expected)) {
    assert.equal(exitCodeOf(new MillraceError(code as keyof typeof expected, 'x')), exitCode, code)
  }
})

test('whatever is not a Millrace error is internal', () => {
  for (const error of [
    new Error('x'),
    null,
    undefined,
    'x',
    { code: 'ENOENT' },
    { code: 'toString' },
    { code: 7 },
  ]) {
    assert.equal(exitCodeOf(error), 70)
  }
})
