import type { IncomingMessage, ServerResponse } from 'node:http'

/** What is sent back. */
export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A value as JSON with a line end, for people who ask with curl. */
export function jsonAnswer(status: number, value: unknown, headers: Record<string, string> = {}): Answer {
  return {
    status,
    contentType: 'application/json; charset=utf-8',
    body: `${JSON.stringify(value)}\n`,
    headers,
  }
}

/** A sentence for whoever asked for something that is not there. */
export function textAnswer(status: number, body: string, headers: Record<string, string> = {}): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body, headers }
}

/** Sends an answer, unless one was sent already or nobody is left to read it. */
export function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
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
