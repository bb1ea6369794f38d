// HEALTHCHECK of the image: exit 0 when the supervisor's /healthz answers 200, else 1 with the reason.
// Like /healthz itself it says nothing about the broker: a restart would not bring that back.
import { get } from 'node:http'

// The same variables and defaults as the supervisor's; test/deploy compares them.
const host = process.env['MILLRACE_HTTP_HOST']?.trim() || '127.0.0.1'
const port = process.env['MILLRACE_HTTP_PORT']?.trim() || '9464'
const timeoutMs = 3_000
/** To listen on all addresses is to listen on loopback, too. */
const loopback = { '0.0.0.0': '127.0.0.1', '::': '::1' }

if (port === 'off' || Number(port) === 0) {
  // With 0 the port is one that nobody can know. Where nothing can be asked, no answer is no illness.
  report(0, `MILLRACE_HTTP_PORT is ${port}: health is not asked`)
} else {
  const signal = AbortSignal.timeout(timeoutMs)
  get({ host: loopback[host] ?? host, port, path: '/healthz', signal }, ({ statusCode }) =>
    report(statusCode === 200 ? 0 : 1, `/healthz answered ${statusCode}`),
  ).once('error', (error) => report(1, signal.aborted ? `no answer within ${timeoutMs} ms` : error.message))
}

function report(code, text) {
  process.stdout.write(`${text}\n`, () => process.exit(code))
}
