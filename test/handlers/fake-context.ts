import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { AbortCode, HandlerContext, HandlerDefinition, Job, JobLogger } from 'millrace'

/** What a handler said through its logger, oldest first. */
export interface LogLine {
  level: string
  fields: Record<string, unknown>
  text: string
}

/** A context as a thread would hand it out, with the strings in the test's hands. */
export interface FakeContext extends HandlerContext {
  readonly lines: LogLine[]
  abort(code: AbortCode): void
}

/** Makes the context of one attempt; `job` overrides single fields of its job. */
export function createContext(job: Partial<Job> = {}): FakeContext {
  const controller = new AbortController()
  const lines: LogLine[] = []
  return {
    job: {
      id: 'JOBS:7',
      handler: 'test',
      attempt: 1,
      maxAttempts: 5,
      enqueuedAt: new Date(),
      headers: {},
      subject: 'jobs.test',
      sequence: 7,
      redelivered: false,
      ...job,
    },
    signal: controller.signal,
    deadlineAt: new Date(Date.now() + 30_000),
    tick: undefined,
    logger: createLogger(lines, {}),
    progress: () => {},
    lines,
    abort: (code) => controller.abort(Object.assign(new Error(`aborted: ${code}`), { code })),
  }
}

/**
 * Runs one attempt as the runtime does: the payload passes the schema first, and its output is what
 * the handler gets.
 *
 * @throws {Error} with code `invalid_payload` when the schema refuses the payload.
 */
export async function attempt<Payload, Result>(
  handler: HandlerDefinition<Payload, Result>,
  payload: unknown,
  context: HandlerContext,
): Promise<Result> {
  if (handler.schema === undefined) return handler.run(payload as Payload, context)
  const checked = await handler.schema['~standard'].validate(payload)
  if (checked.issues !== undefined) {
    throw Object.assign(new Error('the schema refused the payload'), { code: 'invalid_payload' })
  }
  return handler.run(checked.value, context)
}

/** A folder that is gone after the test. */
export async function createFolder(t: TestContext): Promise<(name: string) => string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-handlers-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return (name) => join(folder, name)
}

function createLogger(lines: LogLine[], bound: Record<string, unknown>): JobLogger {
  const write =
    (level: string) =>
    (objectOrMessage: unknown, message?: string): void => {
      const fields = typeof objectOrMessage === 'object' ? { ...bound, ...objectOrMessage } : bound
      lines.push({ level, fields, text: message ?? String(objectOrMessage) })
    }
  return {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    fatal: write('fatal'),
    child: (fields) => createLogger(lines, { ...bound, ...fields }),
  }
}
