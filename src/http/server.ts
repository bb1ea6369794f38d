import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MillraceError } from '../core/errors.ts'
import { Admin, type AdminActions, type AdminRecord } from './admin.ts'
import type { AdminPort } from './admin-guard.ts'
import { type Answer, jsonAnswer, send, textAnswer } from './answer.ts'

/** Where to listen, and where the answers come from. */
export interface HttpServerOptions {
  readonly host: string
  /** 0 takes any free port; `url` has the real one. */
  readonly port: number
  /** Asked for `/readyz`: everything that keeps the supervisor from its work; nothing when it is ready. */
  readonly ready: () => readonly string[]
  /** Asked for `/metrics`: the text and its content type. At most one call runs at a time. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>
  /** What the port may change; without it there is nothing below `/api`. */
  readonly admin?: {
    /** Asked of whoever wants to change something, wherever from; null lets loopback in without. */
    readonly token: string | null
    readonly actions: AdminActions
    readonly onRecord: (record: AdminRecord) => void
  }
  /** Hears of what an answer threw; the client only learns that it failed. */
  readonly onError?: (error: unknown) => void
}

/** The running server. */
export interface HttpServer {
  /** `http://host:port`, with the port that is really open. */
  readonly url: string
  /** Stops listening and cuts what is still open after half a second. Idempotent; never rejects. */
  close(): Promise<void>
}

const closeMs = 500

/**
 * Serves `/healthz`, `/readyz` and `/metrics` to whoever can reach the port, and admin actions to whoever the
 * guard lets in.
 *
 * `/healthz` says that the event loop turns, and nothing else: a broker that is down must not make a
 * whole fleet restart. Slow or idle clients are cut off within seconds, so they hold nothing up.
 *
 * @throws {MillraceError} `invalid_settings` when the address cannot be listened on.
 */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const answers = createAnswers(options)
  const { host: configuredHost, admin: adminOptions, onError = () => {} } = options
  const admin = adminOptions && new Admin(adminOptions.actions, adminOptions.onRecord)
  let boundAddress = ''
  const server = createServer(
    {
      maxHeaderSize: 8_192,
      requestTimeout: 5_000,
      headersTimeout: 5_000,
      keepAliveTimeout: 5_000,
      // By default Node looks only every half minute whether one of these times is over.
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
      const port: AdminPort = { boundAddress, configuredHost, token: adminOptions?.token ?? null }
      const answering =
        admin && path.startsWith('/api/') ? admin.answer(request, path, port) : read(answers, request, path)
      respond(request, response, answering).catch((error: unknown) => {
        onError(error)
        send(request, response, textAnswer(500, 'the answer failed, see the log\n'))
      })
    },
  )
  server.maxRequestsPerSocket = 1_000
  server.maxConnections = 256
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(options, error)))
    server.listen(options.port, options.host, resolve)
  })
  server.removeAllListeners('error')
  server.on('error', onError)

  const { address, port, family } = server.address() as AddressInfo
  boundAddress = address
  let closing: Promise<void> | undefined
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close() {
      closing ??= new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), closeMs)
        server.close(() => {
          clearTimeout(cut)
          resolve()
        })
        server.closeIdleConnections()
      })
      return closing
    },
  }
}

type Answers = ReadonlyMap<string, () => Answer | Promise<Answer>>

function createAnswers({ ready, metrics }: HttpServerOptions): Answers {
  // Collecting is the only answer that costs something, so whoever asks meanwhile shares it.
  let collecting: Promise<Answer> | undefined
  const collect = async (): Promise<Answer> => {
    try {
      const { contentType, body } = await metrics()
      return { status: 200, contentType, body }
    } finally {
      collecting = undefined
    }
  }
  return new Map<string, () => Answer | Promise<Answer>>([
    ['/healthz', () => jsonAnswer(200, { status: 'ok' })],
    [
      '/readyz',
      () => {
        const reasons = ready()
        const isReady = reasons.length === 0
        return jsonAnswer(isReady ? 200 : 503, { ready: isReady, reasons })
      },
    ],
    [
      '/metrics',
      () => {
        collecting ??= collect()
        return collecting
      },
    ],
  ])
}

async function read(answers: Answers, request: IncomingMessage, path: string): Promise<Answer> {
  const answer = answers.get(path)
  if (answer === undefined) return textAnswer(404, `not found; there are ${[...answers.keys()].join(', ')}\n`)
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return textAnswer(405, 'only GET and HEAD\n', { allow: 'GET, HEAD' })
  return answer()
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  answering: Promise<Answer>,
): Promise<void> {
  // What is left of a body is read away, so that it does not stay in the way of the connection's next request.
  request.resume()
  send(request, response, await answering)
}

function cannotListen({ host, port }: HttpServerOptions, error: NodeJS.ErrnoException): MillraceError {
  const inUse = error.code === 'EADDRINUSE'
  const setting =
    inUse || error.code === 'EACCES' ? `MILLRACE_HTTP_PORT=${port}` : `MILLRACE_HTTP_HOST=${host}`
  const problem = inUse
    ? `is in use on ${host}; stop what listens there, or set another port, 0 for any free one, or off`
    : error.code === 'EACCES'
      ? 'is not permitted to this user; set a port of 1024 or above'
      : `cannot be listened on (${error.code ?? error.message}); set an address of this machine`
  return new MillraceError('invalid_settings', `${setting} ${problem}`, { cause: error })
}
