import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unknownHandlerHint } from '#src/cli/unknown-handler.js'

test('a handler that no supervisor has had is told, with the nearest that one has', () => {
  const queue = (handler: string, pulls?: number) => ({
    handler,
    pending: 0,
    ackPending: 0,
    paused: false,
    redelivered: 0,
    deadLetters: 0,
    oldestAgeSeconds: 0,
    pulls,
    delivered: 0,
    pausedBy: undefined,
    owner: undefined,
  })
  // That one is paused, or has a dead letter, says nothing about whether there is such a handler.
  const queues = { handlers: [queue('email.send', 1), queue('report.daily', 0), queue('emial.send')] }
  const hint = (handler: string) => unknownHandlerHint(handler, queues)
  assert.equal(hint('email.send'), undefined)
  assert.equal(hint('report.daily'), undefined)
  assert.equal(hint('emial.send'), 'no supervisor has had a handler emial.send yet; did you mean email.send?')
  assert.equal(hint('something-else'), 'no supervisor has had a handler something-else yet')
  assert.equal(unknownHandlerHint('a', undefined), undefined)
})
