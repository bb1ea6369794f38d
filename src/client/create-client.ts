import { readSettings, type Settings } from '../config/settings.ts'
import { MillraceError } from '../core/errors.ts'
import { namesFor } from '../core/names.ts'
import { ClientBroker, type NatsConnection } from '../nats/client-broker.ts'
import { Client } from './client.ts'
import { type ConnectWithinOptions, connectWithin } from './connect-within.ts'
import type { AnyHandlers } from './handler-types.ts'
import { type PayloadCheck, payloadCheck } from './payload-check.ts'

/**
 * How a client finds the broker. What the environment says (`NATS_URL`, `NATS_CREDS`, `MILLRACE_NAMESPACE` and
 * their like, see the settings) comes before what is said here, as for a supervisor, so that an operator has the
 * last word.
 */
export interface ClientOptions<Handlers extends object = AnyHandlers> {
  /** As in `NATS_URL`. @default nats://127.0.0.1:4222 */
  servers?: string | readonly string[] | undefined
  /** An open connection of your own, which stays yours to close. With it, the settings of NATS do not matter. */
  connection?: NatsConnection | undefined
  /** As in `MILLRACE_NAMESPACE`. @default 'jobs' */
  namespace?: string | undefined
  creds?: string | undefined
  user?: string | undefined
  password?: string | undefined
  token?: string | undefined
  /** Begins every inbox of this client; for accounts that may listen to their own only. */
  inboxPrefix?: string | undefined
  /** Shown by the server's monitoring, and as the one who paused a handler. @default 'client' */
  name?: string | undefined
  /** How long to look for the broker at the start. Later it reconnects for ever. @default 5000 */
  connectMs?: number | undefined
  /** How long to try until the server has confirmed what was stored. @default 5000 */
  requestMs?: number | undefined
  /**
   * Handlers by name, as their files export them: a payload that the schema of its handler refuses is
   * `invalid_job` then, and nothing is sent.
   */
  handlers?: Partial<Handlers> | undefined
  /** Instead of `process.env`; `{}` leaves the environment out. */
  environment?: Readonly<Record<string, string | undefined>> | undefined
}

const optionNames = [
  'servers',
  'connection',
  'namespace',
  'creds',
  'user',
  'password',
  'token',
  'inboxPrefix',
  'name',
  'connectMs',
  'requestMs',
  'handlers',
  'environment',
] as const satisfies readonly (keyof ClientOptions)[]

const defaultMs = 5_000

/**
 * Connects a client for the jobs of one namespace.
 *
 * With a type that has the handlers by their names, the compiler checks names, payloads and results:
 * `createClient<{ 'email.send': typeof import('../handlers/email/send.js') }>()`.
 *
 * @throws {MillraceError} `invalid_settings`; `broker_unreachable`, `not_permitted` or `jetstream_disabled` when
 *   there is no broker for it within `connectMs`.
 */
export async function createClient<Handlers extends object = AnyHandlers>(
  options: ClientOptions<Handlers> = {},
): Promise<Client<Handlers>> {
  const { name = 'client', connectMs = defaultMs, requestMs = defaultMs } = options
  checkOptions(options)
  const { settings } = readSettings({
    environment: options.environment ?? process.env,
    options: {
      natsUrl: options.servers,
      namespace: options.namespace,
      natsCreds: options.creds,
      natsUser: options.user,
      natsPassword: options.password,
      natsToken: options.token,
    },
  })
  const names = namesFor(settings.namespace)
  const { connection } = options
  const checkPayload = options.handlers && payloadCheck(options.handlers as Record<string, unknown>)
  if (connection) {
    const broker = await ClientBroker.open(connection, names)
    return new Client<Handlers>({
      broker,
      names,
      name,
      requestMs,
      checkPayload,
      close: async () => broker.release(),
    })
  }
  return openClient<Handlers>(settings, {
    name,
    connectMs,
    requestMs,
    inboxPrefix: options.inboxPrefix,
    checkPayload,
  })
}

/** The same with settings that were read already. Throws as `createClient` does. */
export async function openClient<Handlers extends object = AnyHandlers>(
  settings: Settings,
  options: ConnectWithinOptions & {
    readonly requestMs: number
    readonly checkPayload?: PayloadCheck | undefined
  },
): Promise<Client<Handlers>> {
  const { name, requestMs, checkPayload } = options
  const names = namesFor(settings.namespace)
  const own = await connectWithin(settings, options)
  const broker = await ClientBroker.open(own.nc, names)
  const close = (): Promise<void> => {
    broker.release()
    return own.close()
  }
  return new Client<Handlers>({ broker, names, name, requestMs, checkPayload, close })
}

function checkOptions(options: ClientOptions<object>): void {
  const problems: string[] = []
  for (const option of Object.keys(options)) {
    if (!(optionNames as readonly string[]).includes(option))
      problems.push(`${option} is not an option of createClient; there are ${optionNames.join(', ')}`)
  }
  for (const option of ['connectMs', 'requestMs'] as const) {
    const value = options[option]
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0 && value < 2 ** 31))
      problems.push(`${option} must be a whole number of milliseconds from 0 to ${2 ** 31 - 1}, got ${value}`)
  }
  if (problems.length > 0) throw new MillraceError('invalid_settings', problems.join('\n'))
}
