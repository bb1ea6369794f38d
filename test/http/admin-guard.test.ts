import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type AdminPort,
  type AdminRequest,
  isLoopbackAddress,
  judgeAdminRequest,
} from '#src/http/admin-guard.js'

const token = 'a-token-of-some-length'
const onLoopback: AdminPort = { boundAddress: '127.0.0.1', configuredHost: '127.0.0.1', token: null }
const everywhere: AdminPort = { boundAddress: '0.0.0.0', configuredHost: '0.0.0.0', token: null }

const fromHere: AdminRequest = {
  remoteAddress: '127.0.0.1',
  host: ['127.0.0.1:9464'],
  origin: [],
  secFetchSite: [],
  authorization: [],
}

const judged = (request: Partial<AdminRequest>, port: Partial<AdminPort> = {}): string =>
  judgeAdminRequest({ ...fromHere, ...request }, { ...onLoopback, ...port })?.code ?? 'allowed'

test('without a token, both ends have to be loopback', () => {
  const table: [remote: string | undefined, bound: string, expected: string][] = [
    ['127.0.0.1', '127.0.0.1', 'allowed'],
    ['127.8.9.1', '127.0.0.1', 'allowed'],
    ['::1', '::1', 'allowed'],
    ['::ffff:127.0.0.1', '127.0.0.1', 'allowed'],
    ['10.0.0.7', '127.0.0.1', 'admin_off'],
    ['::ffff:10.0.0.7', '::1', 'admin_off'],
    ['fe80::1%eth0', '::1', 'admin_off'],
    ['127.0.0.1', '0.0.0.0', 'admin_off'],
    ['::1', '::', 'admin_off'],
    ['127.0.0.1', '10.0.0.7', 'admin_off'],
    ['127.0.0.1', '', 'admin_off'],
    [undefined, '127.0.0.1', 'admin_off'],
    ['localhost', '127.0.0.1', 'admin_off'],
  ]
  for (const [remoteAddress, boundAddress, expected] of table)
    assert.equal(judged({ remoteAddress }, { boundAddress }), expected, `${remoteAddress} at ${boundAddress}`)
})

test('without a token, Host has to be a name that only loopback has', () => {
  const ours = [
    ...['localhost', 'localhost:9464', 'LOCALHOST:80', '127.0.0.1', '127.0.0.1:9464', '127.1.2.3:1'],
    ...['[::1]', '[::1]:9464', '[0:0:0:0:0:0:0:1]:9464', '[::ffff:127.0.0.1]:9464', 'box.internal:9464'],
  ]
  const notOurs = [
    ...['evil.example', 'evil.example:9464', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.7'],
    ...['127.0.0.1:', '127.0.0.1:x', '127.0.0.1:123456', '0', '0.0.0.0', '127.1', '0x7f.0.0.1', '2130706433'],
    ...[
      '[::2]',
      '[::1',
      '::1',
      '[localhost]',
      '127.0.0.1@evil.example',
      '127.0.0.1/x',
      'a b',
      '',
      ' ',
      'localhost.',
    ],
    ...['localhost:9464,evil.example', 'evil.example#localhost', '[127.0.0.1.evil]'],
  ]
  for (const host of ours)
    assert.equal(judged({ host: [host] }, { configuredHost: 'Box.internal' }), 'allowed', host)
  for (const host of notOurs) assert.equal(judged({ host: [host] }), 'wrong_host', host)
  assert.equal(judged({ host: [] }), 'wrong_host', 'HTTP/1.0 without one')
})

test('with a token, whoever sends it may come from anywhere, and nobody else may', () => {
  const far = { remoteAddress: '10.0.0.7', host: ['supervisor.internal'] }
  const table: [authorization: string | undefined, expected: string][] = [
    [`Bearer ${token}`, 'allowed'],
    [`bearer  ${token}`, 'allowed'],
    [undefined, 'token_required'],
    ['', 'token_required'],
    [token, 'token_required'],
    [`Bearer ${token}x`, 'token_required'],
    [`Bearer ${token.slice(1)}`, 'token_required'],
    [`Bearer ${token} x`, 'token_required'],
    [`Bearer ${token.toUpperCase()}`, 'token_required'],
    ['Bearer ', 'token_required'],
    ['Bearer null', 'token_required'],
    [`Basic ${Buffer.from(`:${token}`).toString('base64')}`, 'token_required'],
  ]
  for (const [sent, expected] of table) {
    const authorization = sent === undefined ? [] : [sent]
    assert.equal(judged({ ...far, authorization }, { ...everywhere, token }), expected, sent)
    assert.equal(judged({ authorization }, { token }), expected, `${sent} from loopback`)
  }
  assert.equal(judged({ host: [], authorization: [`Bearer ${token}`] }, { token }), 'allowed', 'without Host')
  assert.equal(judged({ authorization: ['Bearer anything'] }), 'allowed', 'nobody asks for one')
})

test('a page has to be one of this port, with a token as well', () => {
  const table: [origin: string | undefined, site: string | undefined, host: string, expected: string][] = [
    ['http://127.0.0.1:9464', 'same-origin', '127.0.0.1:9464', 'allowed'],
    ['http://localhost:9464', undefined, 'localhost:9464', 'allowed'],
    ['http://localhost:9464', undefined, 'LOCALHOST:9464', 'allowed'],
    ['http://[::1]:9464', undefined, '[::1]:9464', 'allowed'],
    ['http://localhost', undefined, 'localhost:80', 'allowed'],
    ['https://localhost', undefined, 'localhost', 'allowed'],
    [undefined, 'none', 'localhost', 'allowed'],
    [undefined, 'same-site', 'localhost', 'cross_origin'],
    [undefined, 'cross-site', 'localhost', 'cross_origin'],
    [undefined, '', 'localhost', 'cross_origin'],
    ['http://localhost:9464', 'cross-site', 'localhost:9464', 'cross_origin'],
    ['http://localhost:3000', 'same-origin', 'localhost:9464', 'cross_origin'],
    ['http://127.0.0.1:9464', undefined, 'localhost:9464', 'cross_origin'],
    ['http://evil.example', undefined, 'localhost:9464', 'cross_origin'],
    ['null', undefined, 'localhost:9464', 'cross_origin'],
    ['', undefined, 'localhost:9464', 'cross_origin'],
    ['file://', undefined, 'localhost:9464', 'cross_origin'],
    ['localhost:9464', undefined, 'localhost:9464', 'cross_origin'],
    ['http://evil@localhost:9464', undefined, 'localhost:9464', 'cross_origin'],
    ['http://localhost:9464/', undefined, 'localhost:9464', 'cross_origin'],
    ['http://evil.example, http://localhost:9464', undefined, 'localhost:9464', 'cross_origin'],
  ]
  for (const [origin, site, host, expected] of table) {
    const page = {
      host: [host],
      origin: origin === undefined ? [] : [origin],
      secFetchSite: site === undefined ? [] : [site],
    }
    assert.equal(judged(page), expected, `${origin} ${site}`)
    assert.equal(
      judged({ ...page, authorization: [`Bearer ${token}`] }, { token }),
      expected,
      `${origin} ${site}`,
    )
  }
})

test('a header that is sent twice is nobody’s', () => {
  for (const header of ['host', 'origin', 'secFetchSite', 'authorization'] as const)
    assert.equal(judged({ [header]: ['a', 'a'] }), 'invalid_request', header)
})

const anyRequest = fc.record({
  remoteAddress: fc.option(fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant('127.0.0.1')), { nil: undefined }),
  host: fc.array(fc.oneof(fc.string(), fc.domain(), fc.constant('localhost:9464')), { maxLength: 2 }),
  origin: fc.array(fc.oneof(fc.string(), fc.webUrl(), fc.constant('http://localhost:9464')), {
    maxLength: 2,
  }),
  secFetchSite: fc.array(fc.constantFrom('same-origin', 'none', 'cross-site', 'x'), { maxLength: 2 }),
  authorization: fc.array(fc.oneof(fc.string(), fc.constant(`Bearer ${token}`)), { maxLength: 2 }),
})

test('whatever is sent: no token, no admission; and never a page or a name of somebody else', () => {
  fc.assert(
    fc.property(anyRequest, fc.boolean(), (request, hasToken) => {
      const port = { ...(hasToken ? everywhere : onLoopback), token: hasToken ? token : null }
      if (judgeAdminRequest(request, port) !== undefined) return
      if (hasToken) assert.deepEqual(request.authorization, [`Bearer ${token}`])
      else {
        assert.ok(isLoopbackAddress(request.remoteAddress ?? ''))
        assert.equal(request.host.length, 1)
        assert.match(request.host[0]!, /^(localhost|127\.|\[)/i)
      }
      assert.ok(
        request.origin[0] === undefined || new URL(request.origin[0]).host === request.host[0]!.toLowerCase(),
      )
      assert.ok(!['cross-site', 'x'].includes(request.secFetchSite[0] ?? ''))
    }),
    { numRuns: 2_000 },
  )
})
