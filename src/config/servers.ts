import type { SettingKind } from './kinds.ts'

/** What `NATS_URL` says: addresses that are safe to print, and the credentials it carried, taken out of them. */
export interface ServerList {
  /** `nats://host:port` or `tls://host:port`, never with user-info. */
  readonly urls: readonly string[]
  readonly user: string | null
  readonly password: string | null
  readonly token: string | null
}

interface ServerAddress {
  readonly url: string
  readonly userInfo: string
}

/**
 * Shows a value of `NATS_URL` without credentials, also when it is no valid URL. Everything before the
 * last `@` goes, because a password may hold a comma that makes it look like two addresses.
 */
export function maskUserInfo(value: string): string {
  return value.replace(/^(\s*(?:[a-z][a-z0-9+.-]*:\/\/)?).*@/is, '$1***@')
}

/**
 * The addresses of `NATS_URL`, separated by commas. A missing scheme means `nats://`, a missing port 4222.
 *
 * User-info (`nats://user:password@host`, `nats://token@host`) is taken out, because the client library
 * ignores it and because an address ends up in log lines.
 */
export const serverList: SettingKind<ServerList> = {
  expected: 'nats://host:port or tls://host:port, several separated by commas',
  read(raw) {
    const parts = (Array.isArray(raw) ? raw.map(String) : typeof raw === 'string' ? raw.split(',') : [])
      .map((part) => part.trim())
      .filter((part) => part !== '')
    const addresses: ServerAddress[] = []
    for (const part of parts) {
      if (/^wss?:\/\//i.test(part)) {
        return { kind: 'refused', remedy: "WebSocket is not supported, use the server's nats:// port" }
      }
      const address = readAddress(part)
      if (address === null) return { kind: 'refused' }
      addresses.push(address)
    }
    if (addresses.length === 0) return { kind: 'refused' }
    const userInfos = new Set(addresses.map((address) => address.userInfo).filter((info) => info !== ''))
    if (userInfos.size > 1) {
      return { kind: 'refused', remedy: 'use the same user and password for every address' }
    }
    const credentials = readUserInfo([...userInfos][0] ?? '')
    if (credentials === null) {
      return { kind: 'refused', remedy: 'percent-encode the special characters of the user and password' }
    }
    return {
      kind: 'value',
      value: { urls: Object.freeze(addresses.map((address) => address.url)), ...credentials },
    }
  },
}

function readAddress(part: string): ServerAddress | null {
  let url: URL
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(part) ? part : `nats://${part}`)
  } catch {
    return null
  }
  const complete =
    (url.protocol === 'nats:' || url.protocol === 'tls:') &&
    url.hostname !== '' &&
    url.port !== '0' &&
    (url.pathname === '' || url.pathname === '/') &&
    url.search === '' &&
    url.hash === ''
  if (!complete) return null
  const userInfo = url.username === '' && url.password === '' ? '' : `${url.username}:${url.password}`
  return { url: `${url.protocol}//${url.hostname}:${url.port === '' ? '4222' : url.port}`, userInfo }
}

function readUserInfo(userInfo: string): Omit<ServerList, 'urls'> | null {
  const [user, password] = userInfo.split(':').map(decode)
  if (user === undefined || user === '') return { user: null, password: null, token: null }
  if (user === null || password === null || password === undefined) return null
  // A name without a password is how every NATS client writes a token.
  return password === '' ? { user: null, password: null, token: user } : { user, password, token: null }
}

function decode(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return null
  }
}
