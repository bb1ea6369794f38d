import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MillraceError } from '../core/errors.ts'

/** Where to listen, and where the answers come from. */
export interface HttpServerOptions {
  readonly host: string
  /** 0 takes any free port; `url` has the real one. */
  readonly port: number
  /** Asked for `/readyz`: everything that keeps the supervisor from its work; nothing when it is ready. */
  readonly ready: () => readonly string[]
  /** Asked for `/metrics`: the text and its content type. At most one call runs at a time. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>
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

interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

const json = 'application/json; charset=utf-8'
const closeMs = 500

/**
 * Serves `/healthz`, `/readyz` and `/metrics` to whoever can reach the port.
 *
 * `/healthz` says that the event loop turns, and nothing else: a broker that is down must not make a
 * whole fleet restart. Slow or idle clients are cut off within seconds, so they hold nothing up.
 *
 * @throws {MillraceError} `invalid_settings` when the address cannot be listened on.
 */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const answers = createAnswers(options)
  const onError = options.onError ?? (() => {})
  const server = createServer(
    { maxHeaderSize: 8_192, requestTimeout: 5_000, headersTimeout: 5_000, keepAliveTimeout: 5_000 },
    (request, response) => {
      respond(answers, request, response).catch((error: unknown) => {
        onError(error)
        send(request, response, text(500, 'the answer failed, see the log\n'))
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
    ['/healthz', () => ({ status: 200, contentType: json, body: '{"status":"ok"}\n' })],
    [
      '/readyz',
      () => {
        const reasons = ready()
        const isReady = reasons.length === 0
        const body = `${JSON.stringify({ ready: isReady, reasons })}\n`
        return { status: isReady ? 200 : 503, contentType: json, body }
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

async function respond(answers: Answers, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // A body is of no use to us; read away, it does not stay in the way of the connection's next request.
  request.resume()
  const answer = answers.get((request.url ?? '/').split('?', 1)[0] ?? '/')
  if (answer === undefined) {
    return send(request, response, text(404, `not found; there are ${[...answers.keys()].join(', ')}\n`))
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return send(request, response, { ...text(405, 'only GET and HEAD\n'), headers: { allow: 'GET, HEAD' } })
  }
  send(request, response, await answer())
}

function text(status: number, body: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body }
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  if (response.headersSent || response.destroyed) return
  const body = Buffer.from(answer.body)
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...answer.headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
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
