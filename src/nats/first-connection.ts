import { setTimeout as wait } from 'node:timers/promises'
import { connect, errors, type NatsConnection, type NodeConnectionOptions } from '@nats-io/transport-node'
import type { NatsSettings } from '../config/settings.ts'
import { type ErrorCode, MillraceError } from '../core/errors.ts'
import { describeCredentials, tlsOptions } from './credentials.ts'
import { reconnectDelayMs } from './reconnect-delay.ts'

/** What the search for the broker needs to know. */
export interface FirstConnectionOptions {
  readonly nats: NatsSettings
  readonly startupMs: number
  readonly signal: AbortSignal
  /** Hears of each attempt that failed, when another one follows. */
  readonly onAttemptFailed: (error: MillraceError, delayMs: number) => void
}

// A server that says no will hardly say yes a moment later, unless it is still starting.
const refusalMs = 3_000
const longestPauseMs = 2_000

/**
 * Connects, trying again until `startupMs` have passed; a server that clearly refuses us, or has no
 * JetStream, gets 3 s to change its mind. With `startupMs` 0 there is one attempt.
 *
 * @throws {MillraceError} `broker_unreachable`, `not_permitted` or `jetstream_disabled`; whatever
 *   `signal.reason` holds, at once, when the signal aborts.
 */
export async function connectFirst(
  dialOptions: NodeConnectionOptions,
  options: FirstConnectionOptions,
): Promise<NatsConnection> {
  const { nats, startupMs, signal } = options
  const startedAt = performance.now()
  const elapsedMs = () => performance.now() - startedAt
  let refusal: MillraceError | undefined
  for (let attempt = 1; ; attempt++) {
    let failure: MillraceError
    try {
      return await dialOnce(dialOptions, signal)
    } catch (error) {
      signal.throwIfAborted()
      failure = explain(error, nats)
    }
    // One of several servers may be down while another one refuses us, and the refusal says more.
    if (failure.code !== 'broker_unreachable') refusal = failure
    const limitMs = refusal === undefined ? startupMs : Math.min(startupMs, refusalMs)
    const leftMs = limitMs - elapsedMs()
    if (leftMs <= 0) throw refusal ?? failure
    const delayMs = Math.min(leftMs, reconnectDelayMs(attempt, longestPauseMs))
    options.onAttemptFailed(failure, delayMs)
    await wait(delayMs, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

async function dialOnce(dialOptions: NodeConnectionOptions, signal: AbortSignal): Promise<NatsConnection> {
  signal.throwIfAborted()
  const dialing = connect(dialOptions)
  let connection: NatsConnection
  let stop = () => {}
  try {
    connection = await Promise.race([
      dialing,
      new Promise<never>((_, reject) => {
        stop = () => reject(signal.reason)
        signal.addEventListener('abort', stop, { once: true })
      }),
    ])
  } catch (error) {
    // The client cannot be told to stop dialing, so what it may still achieve is undone.
    dialing.then((late) => late.close()).catch(() => {})
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
  try {
    await requireJetStream(connection)
    signal.throwIfAborted()
  } catch (error) {
    await connection.close()
    throw error
  }
  return connection
}

/**
 * A server of a mixed cluster or a leaf node answers for JetStream without having it, so what it says
 * about itself is only a reason to ask.
 */
async function requireJetStream(connection: NatsConnection): Promise<void> {
  if (connection.info?.jetstream === true) return
  try {
    await connection.request('$JS.API.INFO', '', { timeout: 2_000 })
  } catch (error) {
    if (error instanceof errors.RequestError && error.isNoResponders()) {
      throw new MillraceError(
        'jetstream_disabled',
        `the NATS server at ${connection.getServer()} (version ${connection.info?.version}) has no JetStream; start it with -js, or add jetstream {} to its configuration`,
        { cause: error },
      )
    }
    // Not being allowed to ask, or a slow answer, proves nothing.
  }
}

function explain(error: unknown, nats: NatsSettings): MillraceError {
  if (error instanceof MillraceError) return error
  const where = nats.servers.join(', ')
  const texts = causesOf(error)
  const detail = texts.join(': ')
  const fail = (code: ErrorCode, message: string) => new MillraceError(code, message, { cause: error })
  if (isRefusal(error)) {
    return fail(
      'not_permitted',
      `the NATS server at ${where} refuses us (${detail}); check ${describeCredentials(nats)}`,
    )
  }
  if (isDistrust(error)) {
    const remedy = chainOf(error).some((link) => /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/.test(codeOf(link)))
      ? 'renew it, or correct the clock of this machine'
      : 'set NATS_CA to the authority that signed it, and use a host name that it lists'
    return fail(
      'broker_unreachable',
      `the certificate of the NATS server at ${where} is not trusted (${detail}); ${remedy}`,
    )
  }
  // With TLS 1.3 a server refuses our certificate after the handshake, and the client loses that answer.
  const doubt = isTimeout(error) && tlsOptions(nats, () => undefined) !== undefined
  return fail(
    'broker_unreachable',
    `no NATS server answers at ${where} (${detail}); start one there, or set NATS_URL${doubt ? '; a server that wants another client certificate looks the same: check NATS_CERT and NATS_KEY' : ''}`,
  )
}

/** Whether the server said no to who we are, in its protocol or as a TLS alert about our certificate. */
export function isRefusal(error: unknown): boolean {
  return chainOf(error).some(
    (link) =>
      link instanceof errors.AuthorizationError ||
      link instanceof errors.UserAuthenticationExpiredError ||
      /^ERR_SSL_.*ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_\w+|HANDSHAKE_FAILURE)/.test(
        codeOf(link),
      ),
  )
}

function isTimeout(error: unknown): boolean {
  return chainOf(error).some((link) => link instanceof errors.TimeoutError)
}

function isDistrust(error: unknown): boolean {
  return chainOf(error).some((link) =>
    /^(ERR_TLS_CERT_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/.test(
      codeOf(link),
    ),
  )
}

function causesOf(error: unknown): string[] {
  const texts = chainOf(error).map((link) => (link instanceof Error ? link.message : String(link)))
  return [...new Set(texts.filter((text) => text !== ''))]
}

function chainOf(error: unknown): unknown[] {
  const chain: unknown[] = []
  for (let link = error; link !== undefined && link !== null && chain.length < 5; ) {
    chain.push(link)
    link = link instanceof Error ? link.cause : undefined
  }
  return chain
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
