import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { type ConnectionOptions, checkServerIdentity, type PeerCertificate } from 'node:tls'
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  type TlsOptions,
} from '@nats-io/transport-node'
import type { NatsSettings } from '../config/settings.ts'
import { MillraceError } from '../core/errors.ts'

/**
 * Answers the server's challenge with the credentials of the settings; undefined when there are none.
 *
 * Files are read again for each connection, so that rotated credentials are picked up. The result never
 * throws, because the client closes for good when its authenticator does: if a file is missing or half
 * written at that moment, `onProblem` hears of it and the last good contents are used.
 *
 * @throws {MillraceError} `invalid_settings` when the credentials cannot be used even now.
 */
export function createAuthenticator(
  nats: NatsSettings,
  onProblem: (problem: unknown) => void,
): Authenticator | undefined {
  const secret = findSecret(nats)
  if (secret === null) return undefined
  let lastGood: string
  try {
    lastGood = secret.read()
    secret.prove(lastGood, 'a challenge to try the credentials on')
  } catch (error) {
    throw new MillraceError(
      'invalid_settings',
      `${secret.from} holds no usable credentials; create them anew`,
      {
        cause: error,
      },
    )
  }
  return (nonce) => {
    try {
      const current = secret.read()
      const proof = secret.prove(current, nonce)
      lastGood = current
      return proof
    } catch (error) {
      onProblem(error)
      return secret.prove(lastGood, nonce)
    }
  }
}

/** The part of an address that decides which certificate is right. */
export interface DialedServer {
  readonly hostname: string
  readonly tlsName: string
}

/**
 * What TLS needs; undefined leaves it to the server whether to use TLS, with Node's own authorities.
 * `dialed` answers which server is being connected to.
 */
export function tlsOptions(
  nats: NatsSettings,
  dialed: () => DialedServer | undefined,
): TlsOptions | undefined {
  const isAsked = nats.servers.some((server) => server.startsWith('tls://'))
  if (!isAsked && nats.ca === null && nats.cert === null) return undefined
  const options: TlsOptions & Pick<ConnectionOptions, 'checkServerIdentity'> = {
    ...(nats.ca === null ? {} : { caFile: nats.ca }),
    ...(nats.cert === null || nats.key === null ? {} : { certFile: nats.cert, keyFile: nats.key }),
    checkServerIdentity: (host, certificate) => checkIdentity(host, certificate, dialed()),
  }
  return options
}

// The client gives TLS no name for a server that is addressed by its IP, and Node then compares the
// certificate with `localhost`: right certificates are refused, and those for localhost taken anywhere.
function checkIdentity(
  host: string,
  certificate: PeerCertificate,
  dialed: DialedServer | undefined,
): Error | undefined {
  const address = dialed?.hostname ?? ''
  if (isIP(address) === 0 || dialed?.tlsName !== '') return checkServerIdentity(host, certificate)
  const problem = checkServerIdentity(address, certificate)
  return problem !== undefined && /^(127\.|::1$)/.test(address)
    ? checkServerIdentity('localhost', certificate)
    : problem
}

/** Which settings to look at when the server refuses us. */
export function describeCredentials(nats: NatsSettings): string {
  if (nats.creds !== null) return 'NATS_CREDS'
  if (nats.nkey !== null) return 'NATS_NKEY'
  if (nats.token !== null) return 'NATS_TOKEN'
  if (nats.user !== null) return 'NATS_USER and NATS_PASSWORD'
  if (nats.cert !== null) return 'NATS_CERT and NATS_KEY'
  return 'NATS_CREDS, NATS_NKEY, NATS_USER and NATS_PASSWORD, or NATS_TOKEN, of which none is set'
}

/** Where a secret is read from, and how it answers a challenge. */
interface Secret {
  /** The setting, for messages. */
  readonly from: string
  read(): string
  prove(secret: string, nonce?: string): ReturnType<Authenticator>
}

function findSecret(nats: NatsSettings): Secret | null {
  const { creds, nkey, token, user, password, secretFiles } = nats
  if (creds !== null) {
    return {
      from: `NATS_CREDS ${JSON.stringify(creds)}`,
      read: reader(creds, ''),
      // The client's parser wants \n everywhere, also at the very end, which editors like to change.
      prove: (contents, nonce) =>
        credsAuthenticator(Buffer.from(`${contents.replaceAll('\r', '')}\n`))(nonce),
    }
  }
  if (nkey !== null) {
    return {
      from: 'NATS_NKEY',
      read: reader(secretFiles.nkey, nkey),
      prove: (seed, nonce) => nkeyAuthenticator(Buffer.from(seed))(nonce),
    }
  }
  if (token !== null) {
    return {
      from: 'NATS_TOKEN',
      read: reader(secretFiles.token, token),
      prove: (secret) => ({ auth_token: secret }),
    }
  }
  if (user === null) return null
  return {
    from: 'NATS_PASSWORD',
    read: reader(secretFiles.password, password ?? ''),
    prove: (secret) => ({ user, pass: secret }),
  }
}

function reader(file: string | undefined, value: string): () => string {
  return () => {
    if (file === undefined) return value
    const contents = readFileSync(file, 'utf8').trim()
    if (contents === '') throw new MillraceError('invalid_settings', `${JSON.stringify(file)} is empty`)
    return contents
  }
}
