import { randomBytes } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { NatsConnection, NodeConnectionOptions, Status } from '@nats-io/transport-node'
import type { NatsSettings, Settings } from '../config/settings.ts'
import type { MillraceError } from '../core/errors.ts'
import { refusedBy, refusesAck, withoutBytes } from './complaints.ts'
import { createAuthenticator, type DialedServer, tlsOptions } from './credentials.ts'
import { connectFirst } from './first-connection.ts'
import { hastenMessages } from './message-parser.ts'
import { createReconnectDelay, type ReconnectDelay } from './reconnect-delay.ts'
import { isUntested, parseServerVersion, type ServerVersion } from './server-version.ts'
import { readAtOnce } from './socket-reader.ts'
import { forgetAttemptsAhead, letGo } from './unstick-client.ts'

/** Something that happened to the connection, for logs, metrics and readiness. */
export type ConnectionEvent =
  /** An attempt at start failed; the next one follows after `delayMs`. */
  | { readonly kind: 'waiting'; readonly error: MillraceError; readonly delayMs: number }
  | { readonly kind: 'warning'; readonly message: string }
  | { readonly kind: 'disconnected'; readonly server: string }
  /** Connected again after `offlineMs`; what was sent in the last moments before may be lost. */
  | {
      readonly kind: 'reconnected'
      readonly server: string
      readonly epoch: number
      readonly offlineMs: number
    }
  /** The server complained. The same complaint is passed on once per outage. */
  | { readonly kind: 'error'; readonly error: Error; readonly refused: 'credentials' | 'permission' | null }
  /** What the server sent cannot be read, of which nothing is quoted; some seconds later the connection is replaced. */
  | { readonly kind: 'unreadable'; readonly error: Error }
  /** The server is about to shut down and will disconnect us. */
  | { readonly kind: 'lame_duck'; readonly server: string }
  /** The end. Without an error it was `close()`. */
  | { readonly kind: 'closed'; readonly error: Error | undefined }

/** The one connection of a supervisor. It outlives the loss of its server for as long as it takes. */
export interface BrokerConnection {
  readonly nc: NatsConnection
  readonly connected: boolean
  /** 1 at first, one more with each real reconnection: what was asked in an earlier epoch gets no answer. */
  readonly epoch: number
  readonly reconnects: number
  /** Of the server that we are, or were last, connected to. */
  readonly version: ServerVersion
  /** What every inbox of this connection begins with. */
  readonly inboxPrefix: string
  /**
   * Resolves when the server has all that was sent before; for acks and heartbeats, which nobody answers.
   *
   * @throws {Error} when the server refused one of them, or the connection is lost.
   */
  barrier(): Promise<void>
  /**
   * Leaves a server that does not serve us, for another one, and says why. Does nothing when no other one is known,
   * or shortly after it did.
   */
  moveOn(why: string): void
  /** Sends what is still in the buffer and closes, within 3 s whatever the server does. Idempotent. */
  close(): Promise<void>
}

/** What `connectBroker` needs besides the settings. */
export interface ConnectBrokerOptions {
  /** Shown by the server's monitoring as `millrace/<supervisor id>`. */
  readonly supervisorId: string
  /** What every inbox begins with. @default `_INBOX.<namespace>.<random>` */
  readonly inboxPrefix?: string | undefined
  readonly onEvent: (event: ConnectionEvent) => void
  /** Ends the search for the broker at start; later it has no effect. */
  readonly signal: AbortSignal
}

const flushMs = 1_000
const closeMs = 2_000
/** Every other server gets so long to show that it serves us better. */
const stayMs = 4_000

/**
 * Connects to NATS as the settings say, and keeps connected.
 *
 * At start it tries until `startupMs` have passed. Afterwards it reconnects for ever, also while the
 * server refuses the credentials, because those may be put right. A link that is silently dead is
 * left within 7 s. Replies arrive on `_INBOX.<namespace>.<random>.>`: an account with minimal
 * permissions needs to subscribe to `_INBOX.<namespace>.>` only, and nobody can guess the rest.
 *
 * @throws {MillraceError} `broker_unreachable`, `not_permitted`, `jetstream_disabled` or, when the
 *   credentials are malformed, `invalid_settings`; `signal.reason` when the signal aborts.
 */
export async function connectBroker(
  settings: Pick<Settings, 'nats' | 'namespace' | 'startupMs'>,
  options: ConnectBrokerOptions,
): Promise<BrokerConnection> {
  const { onEvent, signal } = options
  const delay = createReconnectDelay()
  let complaints = new Set<string>()
  const isSaid = ({ message }: Error): boolean => {
    if (state.connected) return false
    if (complaints.has(message)) return true
    complaints.add(message)
    return false
  }
  const complain = (problem: unknown) => {
    const error = problem instanceof Error ? problem : new Error(String(problem))
    if (!isSaid(error)) onEvent({ kind: 'error', error, refused: refusedBy(error) })
  }
  const unreadable = (problem: unknown) => {
    const error = withoutBytes(problem)
    if (state.closing === undefined && !isSaid(error)) onEvent({ kind: 'unreadable', error })
  }
  const state = {
    connected: false,
    epoch: 1,
    offlineSince: 0,
    movedAt: Number.NEGATIVE_INFINITY,
    version: parseServerVersion(''),
    closing: undefined as Promise<void> | undefined,
    acksRefused: 0,
  }

  const inboxPrefix = options.inboxPrefix ?? `_INBOX.${settings.namespace}.${randomBytes(12).toString('hex')}`
  let client: NatsConnection | undefined
  const pauseMs = () => {
    if (client) forgetAttemptsAhead(client)
    return delay.currentMs()
  }
  const nc = await connectFirst(
    {
      ...dialOptions(settings.nats, delay, complain),
      reconnectDelayHandler: pauseMs,
      inboxPrefix,
      name: `millrace/${options.supervisorId}`,
    },
    {
      nats: settings.nats,
      startupMs: settings.startupMs,
      signal,
      onAttemptFailed: (error, delayMs) => onEvent({ kind: 'waiting', error, delayMs }),
    },
  )
  client = nc
  hastenMessages(nc)
  readAtOnce(nc, unreadable)
  state.connected = true
  state.version = noteVersion(nc, onEvent)
  delay.reset()

  const onStatus = (status: Status) => {
    switch (status.type) {
      // Each handshake that fails during an outage is announced as a disconnect, and later all of them
      // as reconnects, at once: only the first of either changes anything.
      case 'disconnect':
        if (!state.connected) return
        state.connected = false
        state.offlineSince = performance.now()
        complaints = new Set()
        if (state.closing === undefined) onEvent({ kind: 'disconnected', server: status.server })
        return
      case 'reconnect':
        if (state.connected || nc.isClosed()) return
        state.connected = true
        state.epoch++
        delay.reset()
        onEvent({
          kind: 'reconnected',
          server: status.server,
          epoch: state.epoch,
          offlineMs: performance.now() - state.offlineSince,
        })
        state.version = noteVersion(nc, onEvent)
        return
      case 'error':
        if (refusesAck(status.error)) state.acksRefused++
        complain(status.error)
        return
      case 'staleConnection':
      case 'forceReconnect':
        letGo(nc)
        return
      case 'ldm':
        onEvent({ kind: 'lame_duck', server: status.server })
    }
  }
  const watch = async () => {
    for await (const status of nc.status()) onStatus(status)
  }
  void watch()
  void nc.closed().then((error) => {
    state.connected = false
    onEvent({ kind: 'closed', error: error instanceof Error ? error : undefined })
  })

  return {
    nc,
    inboxPrefix,
    get connected() {
      return state.connected
    },
    get epoch() {
      return state.epoch
    },
    async barrier() {
      const { acksRefused } = state
      await nc.flush()
      // What the server said before it answered is heard of a turn later.
      await nextTurn()
      if (state.acksRefused !== acksRefused) throw new Error('the server refuses acks: not permitted')
    },
    get reconnects() {
      return state.epoch - 1
    },
    get version() {
      return state.version
    },
    moveOn(why) {
      const known = settings.nats.servers.length + (nc.info?.connect_urls?.length ?? 0)
      const now = performance.now()
      if (known < 2 || !state.connected || state.closing || now - state.movedAt < stayMs) return
      state.movedAt = now
      onEvent({ kind: 'warning', message: `leaving the NATS server ${nc.getServer()}: ${why}` })
      void nc.reconnect().catch(() => {})
    },
    close() {
      state.closing ??= closeWithin(nc, state.connected)
      return state.closing
    },
  }
}

function dialOptions(
  nats: NatsSettings,
  delay: ReconnectDelay,
  onProblem: (problem: unknown) => void,
): NodeConnectionOptions {
  const authenticator = createAuthenticator(nats, onProblem)
  let dialed: DialedServer | undefined
  const tls = tlsOptions(nats, () => dialed)
  return {
    servers: [...nats.servers],
    ...(authenticator === undefined ? {} : { authenticator }),
    ...(tls === undefined ? {} : { tls }),
    // This hook is called once for each attempt, with the server that is tried at the front.
    reconnectToServer(servers) {
      dialed = servers[0]
      delay.noteAttempt(servers.length)
      return null
    },
    timeout: 3_000,
    pingInterval: 2_000,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    // By default the client closes for good after the second refusal, whatever the limit above says.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
  }
}

async function closeWithin(nc: NatsConnection, connected: boolean): Promise<void> {
  if (connected) await atMost(flushMs, nc.flush())
  await atMost(closeMs, nc.close())
}

async function atMost(limitMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs)
  })
  await Promise.race([work.catch(() => {}), limit])
  clearTimeout(timer)
}

/** Reads the version now, because the client forgets it while it is disconnected. */
function noteVersion(nc: NatsConnection, onEvent: (event: ConnectionEvent) => void): ServerVersion {
  const text = nc.info?.version ?? ''
  const version = parseServerVersion(text)
  if (isUntested(version)) {
    onEvent({
      kind: 'warning',
      message: `nats-server ${text} is older than 2.9.10, the oldest that Millrace is tested with; upgrade it`,
    })
  }
  return version
}
