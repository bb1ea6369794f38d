import { createHash, timingSafeEqual } from 'node:crypto'
import { BlockList, isIP, isIPv6 } from 'node:net'

/** What decides about a request: who sends it, and what its headers say. Every header as often as it was sent. */
export interface AdminRequest {
  /** The other end of the connection, never what a header claims it to be. */
  readonly remoteAddress: string | undefined
  readonly host: readonly string[]
  readonly origin: readonly string[]
  readonly secFetchSite: readonly string[]
  readonly authorization: readonly string[]
}

/** The port that it came to. */
export interface AdminPort {
  /** The address that is listened on. */
  readonly boundAddress: string
  /** As `MILLRACE_HTTP_HOST` names it. */
  readonly configuredHost: string
  readonly token: string | null
}

/** Why a request may not change anything. */
export interface Refusal {
  readonly status: 400 | 401 | 403
  readonly code: 'invalid_request' | 'admin_off' | 'token_required' | 'wrong_host' | 'cross_origin'
  readonly message: string
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/**
 * Decides whether a request may change something; undefined when it may.
 *
 * 1. With a token, the request has to carry it, also on loopback: other users of the machine are there, too.
 * 2. Without one, both ends have to be loopback, and `Host` a name that only loopback has. A page whose own
 *    name was made to resolve to 127.0.0.1 (DNS rebinding) comes from loopback; its `Host` gives it away.
 * 3. A browser says which page sends a request. Any other than our own is refused, with a token as well.
 */
export function judgeAdminRequest(request: AdminRequest, port: AdminPort): Refusal | undefined {
  for (const name of ['host', 'origin', 'secFetchSite', 'authorization'] as const) {
    if (request[name].length > 1) return { status: 400, ...twice }
  }
  const [host] = request.host
  return (
    (port.token === null ? judgePlace(request, port) : judgeToken(request.authorization[0], port.token)) ??
    judgePage(request, host)
  )
}

const twice = {
  code: 'invalid_request',
  message: 'a header that may be sent once was sent twice',
} as const

function judgeToken(authorization: string | undefined, token: string): Refusal | undefined {
  const [, sent] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? []
  if (sent !== undefined && isSame(sent, token)) return undefined
  return {
    status: 401,
    code: 'token_required',
    message: 'send the token of MILLRACE_HTTP_TOKEN as Authorization: Bearer <token>',
  }
}

/** Takes as long for a token that is nearly right, and one of another length, as for any other. */
function isSame(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}

function judgePlace({ remoteAddress, host }: AdminRequest, port: AdminPort): Refusal | undefined {
  if (!isLoopbackAddress(port.boundAddress) || !isLoopbackAddress(remoteAddress ?? '')) {
    return {
      status: 403,
      code: 'admin_off',
      message:
        'admin actions are off: set MILLRACE_HTTP_TOKEN and send it, or let MILLRACE_HTTP_HOST be loopback',
    }
  }
  if (isOurHost(host[0], port.configuredHost)) return undefined
  return {
    status: 403,
    code: 'wrong_host',
    message: 'Host is not localhost, a loopback address or MILLRACE_HTTP_HOST; with a token any will do',
  }
}

function judgePage({ origin, secFetchSite }: AdminRequest, host: string | undefined): Refusal | undefined {
  const isOurs = origin[0] === undefined || isSameOrigin(origin[0], host)
  const [site] = secFetchSite
  if (isOurs && (site === undefined || site === 'same-origin' || site === 'none')) return undefined
  return { status: 403, code: 'cross_origin', message: 'another page than one of this port sent this' }
}

/** Whether an address, as sockets have it, belongs to this machine alone. */
export function isLoopbackAddress(address: string): boolean {
  if (isIP(address) === 0) return false
  return loopback.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

// The port of `Host` may be another one than ours: that of an SSH tunnel, or of a container.
const hostForm = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::\d{1,5})?$/i

function isOurHost(host: string | undefined, configuredHost: string): boolean {
  const [, address, name] = hostForm.exec(host ?? '') ?? []
  const asked = (address ?? name)?.toLowerCase()
  if (asked === undefined) return false
  return asked === 'localhost' || asked === configuredHost.toLowerCase() || isLoopbackAddress(asked)
}

function isSameOrigin(origin: string, host: string | undefined): boolean {
  if (host === undefined || !hostForm.test(host)) return false
  // Only what a browser itself would write: http://name or http://name:port, in lower case.
  const [, scheme] = /^(https?):\/\/[^/?#@\\]+$/.exec(origin) ?? []
  if (scheme === undefined) return false
  try {
    // With both under one scheme, its default port stands for itself in either.
    return new URL(origin).origin === new URL(`${scheme}://${host}`).origin
  } catch {
    return false
  }
}
