import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bannerOf } from '#src/dev/banner.js'

const usual = { url: 'nats://127.0.0.1:4222', about: 'from NATS_URL', isUsual: true }

test('the banner says where everything is, and has a line to copy that works in another terminal', () => {
  const about = { readyMs: 940, folder: 'handlers', handlers: ['email.send', 'sum'], namespace: 'jobs' }
  assert.equal(
    bannerOf({ ...about, broker: usual, url: 'http://127.0.0.1:9464' }),
    `millrace dev is ready after 0.9 s

  broker    nats://127.0.0.1:4222  (from NATS_URL)
  health    http://127.0.0.1:9464/readyz
  metrics   http://127.0.0.1:9464/metrics
  handlers  email.send, sum
  try       npx millrace enqueue email.send '{}'
  watch     npx millrace top --metrics http://127.0.0.1:9464
  save      a file in handlers to run its new code
  Ctrl-C    ends everything
`,
  )
  const elsewhere = { ...usual, url: 'nats://127.0.0.1:5', isUsual: false }
  const other = bannerOf({ ...about, broker: elsewhere, url: undefined, namespace: 'mine' })
  const prefix = 'NATS_URL=nats://127.0.0.1:5 MILLRACE_NAMESPACE=mine npx millrace'
  assert.ok(
    other.includes(`  try       ${prefix} enqueue email.send '{}'\n  watch     ${prefix} top\n`),
    other,
  )
  assert.doesNotMatch(other, /health|metrics/)
  assert.match(
    bannerOf({ ...about, broker: usual, url: undefined, handlers: [] }),
    /handlers +none in handlers yet\n +watch/,
  )
})
