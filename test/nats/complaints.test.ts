import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errors } from '@nats-io/transport-node'
import fc from 'fast-check'
import { refusedBy, refusesAck, withoutBytes } from '#src/nats/complaints.js'

test('G10: of what could not be read nothing is quoted, whatever it looks like', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('', '\n', '\n    at secret (a.ts:1:1)\n', '\r\n'),
      fc.string(),
      (end, bytes) => {
        const payload = `secret${bytes}secret`
        const error = withoutBytes(new Error(`parse error [17]: ${payload}${end}${payload}`))
        assert.equal(error.message, 'what the NATS server sent could not be read (parse error [17])')
        assert.doesNotMatch(String(error.stack), /secret/)
        // Where it was thrown is kept.
        assert.match(String(error.stack), /^Error: what .+\)\n {4}at .*complaints\.test/)
      },
    ),
  )
})

test('of an error that is not the parser’s only the name is told, of what is no error nothing', () => {
  assert.match(withoutBytes(new RangeError('secret')).message, /\(RangeError\)$/)
  assert.match(withoutBytes('secret').message, /\(Error\)$/)
  assert.doesNotMatch(String(withoutBytes('secret').stack), /secret/)
})

test('a complaint says what is refused: a subject, the credentials or nothing', () => {
  const permission = (subject: string) =>
    new errors.PermissionViolationError(
      `Permissions Violation for Publish to "${subject}"`,
      'publish',
      subject,
    )
  assert.equal(refusedBy(permission('jobs.email')), 'permission')
  assert.equal(refusedBy(new errors.AuthorizationError('Authorization Violation')), 'credentials')
  assert.equal(refusedBy(new Error('maximum connections exceeded')), null)
  assert.equal(refusesAck(permission('$JS.ACK.jobs.email.1.2.3.4.5')), true)
  assert.equal(refusesAck(permission('jobs.email')), false)
})
