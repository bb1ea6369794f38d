import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { HandlerContext, HandlerDefinition, Job } from '#src/index.js'
import { CapturedContext, type LoggedLine } from '#src/testing/captured-context.js'
import { readHandler } from '#src/testing/given-handler.js'
import { InvalidPayload } from '#src/threads/payload.js'
import { runHandler } from '#src/threads/run-handler.js'

/** A context as a thread would hand it out, with the strings in the test's hands. */
export interface FakeContext extends CapturedContext {
  /** What the handler said through its logger, oldest first. */
  readonly lines: LoggedLine[]
}

/** Makes the context of one attempt; `job` overrides single fields of its job. */
export function createContext(job: Partial<Job> = {}): FakeContext {
  const lines: LoggedLine[] = []
  const context = new CapturedContext(
    {
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
    new Date(Date.now() + 30_000),
    { logged: (line) => lines.push(line), progressed: () => {} },
  )
  return Object.assign(context, { lines })
}

/**
 * Runs one attempt as the runtime does: the payload passes the schema first, and its output is what
 * the handler gets.
 *
 * @throws {Error} with code `invalid_payload` when the schema refuses the payload; else what the handler throws.
 */
export async function attempt<Payload, Result>(
  handler: HandlerDefinition<Payload, Result>,
  payload: unknown,
  context: HandlerContext,
): Promise<Result> {
  try {
    return (await runHandler(readHandler('test', handler), context, payload)) as Result
  } catch (thrown) {
    throw thrown instanceof InvalidPayload ? Object.assign(thrown, { code: thrown.error.code }) : thrown
  }
}

/** A folder that is gone after the test. */
export async function createFolder(t: TestContext): Promise<(name: string) => string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-handlers-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return (name) => join(folder, name)
}
