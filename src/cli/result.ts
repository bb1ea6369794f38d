import { checkJobId } from '../client/new-job.ts'
import type { JobOutcome } from '../core/job-outcome.ts'
import { type Command, cliExitCodes } from './command.ts'
import { readDuration } from './duration.ts'
import { terminalText } from './terminal-text.ts'
import { withClient } from './with-client.ts'

/** `millrace result`: how a job ended, and what it returned. */
export const result: Command = {
  name: 'result',
  arguments: '<job id>',
  takes: [1, 1],
  summary: 'print what a job returned',
  details:
    'For handlers with `result: true`. Prints the result as JSON, and with --json the whole outcome.\n' +
    'Exits with 0 for a job that completed, 1 for a dead one, 3 when no outcome is known.',
  flags: { wait: { value: '<duration>', help: 'wait so long for the end of the job: 500ms, 30s, 5m, 1h' } },
  example: 'millrace result JOBS:42 --wait 30s',

  async run(typed, console) {
    const {
      positionals: [id],
      json,
      text,
    } = typed
    checkJobId(id!)
    const wait = text('wait')
    const timeoutMs = wait === undefined ? undefined : readDuration('--wait', wait)
    const outcome = await withClient(typed, (client) =>
      timeoutMs === undefined ? client.outcome(id!) : client.waitFor(id!, { timeoutMs }),
    )
    if (!outcome) {
      console.narrate(
        `no outcome of ${id} is known: it has not ended, its handler lacks \`result: true\`, or MILLRACE_RESULT_TTL_MS have passed since`,
      )
      return cliExitCodes.notFound
    }
    if (json) console.print(JSON.stringify(rowOf(outcome)))
    else if (outcome.kind === 'completed' && outcome.result !== undefined)
      console.print(JSON.stringify(outcome.result))
    if (outcome.error) console.narrate(terminalText(`${outcome.error.code}: ${outcome.error.message}`))
    if (outcome.kind === 'completed') return cliExitCodes.ok
    console.narrate(`${id} is a dead letter: ${outcome.reason}`)
    return cliExitCodes.failed
  },
}

/** In the words of the stored entry. */
function rowOf(outcome: JobOutcome): Record<string, unknown> {
  const { kind, jobId, handler, attempts, at, error } = outcome
  return {
    job_id: jobId,
    handler,
    outcome: kind,
    attempts,
    at: at.toISOString(),
    ...(outcome.kind === 'dead' ? { reason: outcome.reason } : { result: outcome.result }),
    ...(error ? { error } : {}),
  }
}
