/**
 * `webhook.deliver` posts a JSON body to a URL until the receiver takes it.
 *
 *     nats pub jobs.webhook.deliver -H 'Nats-Msg-Id:order-17-paid' \
 *       '{"url":"https://example.com/hooks","body":{"event":"order.paid","order":17}}'
 *
 * - 2xx: delivered.
 * - 408, 429, 5xx and network errors: tried again with backoff, or when `Retry-After` says so.
 * - 307 and 308 are followed with the same body. Other redirects would turn the POST into a GET and
 *   lose it: permanent, like every other 4xx, so the job becomes a dead letter at once.
 *
 * Each attempt carries the job id as `Idempotency-Key`, because a receiver may get it twice. With
 * `WEBHOOK_SECRET` in the environment (base64, with or without `whsec_`), each is signed as
 * standardwebhooks.com describes, so receivers can verify it with the libraries listed there.
 *
 * When you copy it: change the schema to your event; keep secrets per receiver out of the payload
 * and look them up here; and if people outside your team choose the URL, refuse private addresses,
 * or they can make this machine call your internal services.
 */
import { createHmac } from 'node:crypto'
import { defineHandler, PermanentFailure, RetryLater } from 'millrace'
import * as v from 'valibot'

const redirectLimit = 3
/** A receiver that asks for less, or for more, gets these. */
const retryAfterBoundsMs = { least: 1_000, most: 3_600_000 }

const schema = v.object({
  url: v.pipe(v.string(), v.check(isPostable, 'must be an http or https URL without a user and password')),
  body: v.unknown(),
})

export default defineHandler({
  schema,
  // Waiting for others takes no CPU: many deliveries share one thread.
  pool: 'io',
  concurrency: 50,
  deadlineMs: 15_000,
  retry: { maxAttempts: 8, backoff: { baseMs: 2_000, maxMs: 600_000 } },
  async run({ url, body }, ctx) {
    const content = JSON.stringify(body) ?? 'null'
    const headers = describeDelivery(ctx.job.id, content)
    const response = await postFollowing(new URL(url), content, headers, ctx.signal)
    const { status, host } = response
    if (status >= 200 && status < 300) {
      ctx.logger.info({ host, status }, 'webhook delivered')
      return
    }
    const failure = `${host} answered ${status}`
    if (status < 500 && status !== 408 && status !== 429) throw new PermanentFailure(failure)
    const delayMs = readRetryAfter(response.retryAfter, Date.now())
    if (delayMs === undefined) throw new Error(failure)
    throw new RetryLater({ delayMs, message: `${failure}, trying again in ${delayMs} ms as it asked` })
  },
})

interface Answer {
  /** Host and port, which are safe to log; the rest of a URL often holds a token. */
  host: string
  status: number
  retryAfter: string | null
}

async function postFollowing(
  target: URL,
  content: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Answer> {
  let url = target
  for (let redirects = 0; redirects <= redirectLimit; redirects += 1) {
    const response = await post(url, content, headers, signal)
    // Only the status counts. An unread body would keep its socket until the garbage collector comes
    // by, and one that breaks off now does not undo what the receiver has said.
    await response.body?.cancel().catch(() => {})
    const { status } = response
    if (status < 300 || status >= 400) {
      return { host: url.host, status, retryAfter: response.headers.get('retry-after') }
    }
    if (status !== 307 && status !== 308) {
      throw new PermanentFailure(`${url.host} answered ${status}, a redirect that would lose the body`)
    }
    url = readLocation(url, status, response.headers.get('location'))
  }
  throw new PermanentFailure(`${target.host} redirected more than ${redirectLimit} times`)
}

async function post(
  url: URL,
  content: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  try {
    return await fetch(url, { method: 'POST', headers, body: content, redirect: 'manual', signal })
  } catch (error) {
    signal.throwIfAborted()
    // fetch says no more than "fetch failed"; what happened is in the cause.
    const { cause } = error as Error
    const code = (cause as NodeJS.ErrnoException | undefined)?.code
    throw new Error(`${url.host} could not be reached: ${code ?? 'network error'}`, { cause: error })
  }
}

function readLocation(from: URL, status: number, location: string | null): URL {
  const to = location !== null && URL.canParse(location, from.href) ? new URL(location, from) : undefined
  if (to === undefined || !isPostable(to.href)) {
    throw new PermanentFailure(`${from.host} answered ${status} without a usable Location`)
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw new PermanentFailure(`${from.host} redirected from https to http`)
  }
  return to
}

function isPostable(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, username, password } = new URL(url)
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === ''
}

function describeDelivery(jobId: string, content: string): Record<string, string> {
  // A job id may be any text; a header holds visible ASCII.
  const key = /^[\x21-\x7e]+$/.test(jobId) ? jobId : encodeURIComponent(jobId)
  const headers: Record<string, string> = { 'content-type': 'application/json', 'idempotency-key': key }
  const secret = process.env['WEBHOOK_SECRET']
  if (secret === undefined || secret === '') return headers
  const timestamp = Math.floor(Date.now() / 1_000)
  const signature = createHmac('sha256', Buffer.from(secret.replace(/^whsec_/, ''), 'base64'))
    .update(`${key}.${timestamp}.${content}`)
    .digest('base64')
  headers['webhook-id'] = key
  headers['webhook-timestamp'] = String(timestamp)
  headers['webhook-signature'] = `v1,${signature}`
  return headers
}

/** Reads both forms of `Retry-After` (RFC 9110, 10.2.3); undefined when there is none that can be understood. */
function readRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined
  const delayMs = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - nowMs
  if (Number.isNaN(delayMs)) return undefined
  return Math.min(Math.max(delayMs, retryAfterBoundsMs.least), retryAfterBoundsMs.most)
}
