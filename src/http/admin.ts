import type { IncomingMessage } from 'node:http'
import { type ErrorCode, MillraceError } from '../core/errors.ts'
import { nearestName } from '../core/nearest-name.ts'
import { type AdminPort, judgeAdminRequest } from './admin-guard.ts'
import { type Answer, jsonAnswer } from './answer.ts'

/** What can be asked for. */
export type AdminAction = 'pause' | 'resume' | 'cancel'

/** What an operator may do, once the request was let in. */
export interface AdminActions {
  /** Of this supervisor; undefined while it does not know them yet. */
  handlers(): readonly string[] | undefined
  /**
   * Resolves when the broker has stored it.
   *
   * @param target - the handler's name, or the job's id.
   * @param remote - who asks for it.
   * @throws {MillraceError}
   */
  act(action: AdminAction, target: string, remote: string): Promise<void>
}

/** One request for an action and what became of it, for the log. Holds no header and so no token. */
export interface AdminRecord {
  readonly remote: string
  readonly action: AdminAction
  /** A handler's name or a job's id, as it was sent. */
  readonly target: string
  /** `done`, or the code of the error. */
  readonly outcome: string
  /** Nothing was tried. */
  readonly refused: boolean
  readonly error: unknown
}

/** Every code of an answer that is no code of Millrace's errors, with its status. A test compares docs/http.md. */
export const adminCodes = {
  invalid_request: 400,
  token_required: 401,
  admin_off: 403,
  wrong_host: 403,
  cross_origin: 403,
  not_found: 404,
  unknown_handler: 404,
  method_not_allowed: 405,
  body_too_large: 413,
  too_many_requests: 429,
  starting: 503,
} as const

type AdminCode = keyof typeof adminCodes

/** No action needs a body; some clients send an empty object. */
const largestBodyBytes = 1_024
const mostAtOnce = 16
const longestTarget = 512

const statusOf: { readonly [Code in ErrorCode]?: number } = {
  invalid_job: 400,
  not_permitted: 502,
  topology_conflict: 502,
  topology_missing: 503,
  stream_full: 503,
  broker_unreachable: 503,
  jetstream_disabled: 503,
  client_closed: 503,
}

/** Answers `POST /api/handlers/<handler>/pause`, `…/resume` and `POST /api/jobs/<id>/cancel`. */
export class Admin {
  readonly #actions: AdminActions
  readonly #onRecord: (record: AdminRecord) => void
  #running = 0

  constructor(actions: AdminActions, onRecord: (record: AdminRecord) => void) {
    this.#actions = actions
    this.#onRecord = onRecord
  }

  /** @param path - of the request line, without what follows a question mark. */
  async answer(request: IncomingMessage, path: string, port: AdminPort): Promise<Answer> {
    const [, handler, move, jobId] =
      /^\/api\/(?:handlers\/([^/]+)\/(pause|resume)|jobs\/([^/]+)\/cancel)$/.exec(path) ?? []
    const target = decode(handler ?? jobId ?? '')
    if (target === undefined || target === '')
      return failure('not_found', 'see docs/http.md for what there is')
    if (request.method !== 'POST') return failure('method_not_allowed', 'only POST', { allow: 'POST' })
    const action = (move ?? 'cancel') as AdminAction
    const remote = request.socket.remoteAddress ?? 'unknown'
    const record = (outcome: string, refused: boolean, error?: unknown): void =>
      this.#onRecord({ remote, action, target: target.slice(0, longestTarget), outcome, refused, error })

    const refusal = judge(request, port)
    if (refusal) {
      record(refusal.code, true)
      const headers: Record<string, string> =
        refusal.status === 401 ? { 'www-authenticate': 'Bearer realm="millrace"' } : {}
      return failure(refusal.code, refusal.message, headers)
    }
    if (this.#running >= mostAtOnce) {
      record('too_many_requests', true)
      return failure('too_many_requests', `${mostAtOnce} are under way; try again`, { 'retry-after': '1' })
    }
    this.#running += 1
    try {
      if (!(await bodyFits(request))) {
        record('body_too_large', true)
        return failure('body_too_large', 'no action takes a body', { connection: 'close' })
      }
      const problem = handler === undefined ? undefined : this.#unknown(target)
      if (problem) {
        record(problem.code, true)
        return failure(problem.code, problem.message)
      }
      await this.#actions.act(action, target, remote)
      record('done', false)
      return jsonAnswer(200, told(action, target))
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error
      record(error.code, false, error)
      return jsonAnswer(statusOf[error.code] ?? 502, {
        error: { code: error.code, message: error.message },
      })
    } finally {
      this.#running -= 1
    }
  }

  #unknown(name: string): { code: AdminCode; message: string } | undefined {
    const known = this.#actions.handlers()
    if (!known) return { code: 'starting', message: 'the supervisor is starting; try again' }
    if (known.includes(name)) return undefined
    const nearest = name.length > longestTarget ? null : nearestName(name, known)
    const hint = nearest === null ? '; the command line takes any name' : `, did you mean ${nearest}?`
    return { code: 'unknown_handler', message: `this supervisor has no such handler${hint}` }
  }
}

/** In the words of the command line's `--json`. */
function told(action: AdminAction, target: string): object {
  return action === 'cancel'
    ? { id: target, cancelled: true }
    : { handler: target, paused: action === 'pause' }
}

function judge(request: IncomingMessage, port: AdminPort) {
  const sent = request.headersDistinct
  return judgeAdminRequest(
    {
      remoteAddress: request.socket.remoteAddress,
      host: sent['host'] ?? [],
      origin: sent['origin'] ?? [],
      secFetchSite: sent['sec-fetch-site'] ?? [],
      authorization: sent['authorization'] ?? [],
    },
    port,
  )
}

function failure(code: AdminCode, message: string, headers: Record<string, string> = {}): Answer {
  return jsonAnswer(adminCodes[code], { error: { code, message } }, headers)
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}

/** Reads a body away; false when it is larger than any that makes sense, or breaks off. */
function bodyFits(request: IncomingMessage): Promise<boolean> {
  if (Number(request.headers['content-length'] ?? 0) > largestBodyBytes) return Promise.resolve(false)
  return new Promise((resolve) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > largestBodyBytes) resolve(false)
    })
    request.once('end', () => resolve(bytes <= largestBodyBytes))
    request.once('close', () => resolve(false))
  })
}
