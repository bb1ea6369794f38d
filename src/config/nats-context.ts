import { readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { MillraceError } from '../core/errors.ts'
import { isRecord } from '../core/field-checks.ts'
import { nearestName } from '../core/nearest-name.ts'
import type { SettingsOptions } from './settings.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** What a context of the nats CLI says, as far as it concerns us. */
export interface NatsContext {
  readonly options: SettingsOptions
  /** What the inboxes of its user begin with. */
  readonly inboxPrefix: string | undefined
}

/** Ways to connect that a context can name and that Millrace does not know; ignoring one would connect elsewhere. */
const unsupported = [
  'nsc',
  'user_jwt',
  'socks_proxy',
  'jetstream_domain',
  'jetstream_api_prefix',
  'tls_first',
]
const credentialVariables = ['NATS_CREDS', 'NATS_NKEY', 'NATS_USER', 'NATS_PASSWORD', 'NATS_TOKEN']

/**
 * Reads `$XDG_CONFIG_HOME/nats/context/<name>.json`, as `nats context add` writes it. What the environment says comes
 * before it: an address, and with any credentials there the context's are left out.
 *
 * @throws {MillraceError} `invalid_settings` when there is no such context, or it says what cannot be done here.
 */
export function readNatsContext(name: string, environment: Environment): NatsContext {
  const folder = join(
    environment['XDG_CONFIG_HOME'] || join(homeOf(environment), '.config'),
    'nats',
    'context',
  )
  const fields = readFields(name, folder)
  const odd = unsupported.filter((field) => fields[field] !== undefined && fields[field] !== false)
  if (odd.length > 0) {
    throw refused(
      `the nats context ${JSON.stringify(name)} has ${odd.join(', ')}, which Millrace does not know; use one with url and creds`,
    )
  }
  const text = (field: string): string | undefined => {
    const value = fields[field]
    return typeof value === 'string' ? value : undefined
  }
  const path = (field: string): string | undefined =>
    text(field)?.replace(/^~(?=\/)/, () => homeOf(environment))
  const user = text('user')
  const password = text('password')
  // A user without a password is how the nats CLI writes a token.
  const credentials = {
    natsCreds: path('creds'),
    natsNkey: path('nkey'),
    natsUser: password === undefined ? undefined : user,
    natsPassword: password,
    natsToken: text('token') ?? (password === undefined ? user : undefined),
  }
  const hasPair = isSet(environment, 'NATS_CERT') || isSet(environment, 'NATS_KEY')
  return {
    options: {
      natsUrl: text('url'),
      natsCa: path('ca'),
      ...(hasOwnCredentials(environment) ? {} : credentials),
      ...(hasPair ? {} : { natsCert: path('cert'), natsKey: path('key') }),
    },
    inboxPrefix: text('inbox_prefix'),
  }
}

/** The fields that say something; empty ones are how the nats CLI writes what is not set. */
function readFields(name: string, folder: string): Record<string, unknown> {
  if (!/^[^/\\]+$/.test(name) || name.startsWith('.')) {
    throw refused(`a nats context has the name of a file without its .json, got ${JSON.stringify(name)}`)
  }
  let text: string
  try {
    text = readFileSync(join(folder, `${name}.json`), 'utf8')
  } catch (cause) {
    const nearest = nearestName(name, contextsIn(folder))
    const hint = nearest === null ? 'nats context ls lists what there is' : `did you mean ${nearest}?`
    throw refused(`there is no nats context ${JSON.stringify(name)} in ${folder}, ${hint}`, cause)
  }
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch {
    // The parser quotes what it read, and that may be a password.
  }
  if (!isRecord(fields)) {
    throw refused(
      `the nats context ${JSON.stringify(name)} is no JSON object; write it anew: nats context add`,
    )
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== '' && value !== null))
}

function contextsIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .map((file) => file.slice(0, -'.json'.length))
  } catch {
    return []
  }
}

function hasOwnCredentials(environment: Environment): boolean {
  return (
    credentialVariables.some((variable) => isSet(environment, variable)) ||
    (environment['NATS_URL'] ?? '').includes('@')
  )
}

function isSet(environment: Environment, variable: string): boolean {
  return [variable, `${variable}_FILE`].some((name) => (environment[name] ?? '').trim() !== '')
}

function homeOf(environment: Environment): string {
  return environment['HOME'] || homedir()
}

function refused(message: string, cause?: unknown): MillraceError {
  return new MillraceError('invalid_settings', message, { cause })
}
