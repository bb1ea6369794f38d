import { readFileSync } from 'node:fs'
import { checkJob } from '../client/new-job.ts'
import { isJsonType } from '../core/job-headers.ts'
import { type Priority, priorities } from '../core/names.ts'
import { type Command, type Console, cliExitCodes, type Typed, usageError } from './command.ts'
import { readDuration } from './duration.ts'
import { enqueueFile } from './enqueue-file.ts'
import { narrateUnknownHandler } from './unknown-handler.ts'
import { withClient } from './with-client.ts'

/** `millrace enqueue`: stores a job. */
export const enqueue: Command = {
  name: 'enqueue',
  arguments: '<handler> [json|-|@file]',
  takes: [1, 2],
  summary: 'store a job for a handler',
  details:
    'The payload is JSON: as an argument, from stdin (-) or from a file (@file); without one the handler gets\n' +
    'undefined. With --header content-type:… that is not JSON, the bytes are sent as they are.\n' +
    'Prints the id of the job. With --file, and --json, prints how many were stored, were duplicates and failed; ids are\n' +
    '<id>:<line> then, so the same file again stores only what is missing.',
  flags: {
    file: { value: '<path>', help: 'store a job for each line of this file, whose lines are payloads' },
    id: { value: '<id>', help: 'the id of the job; a second one with it is a duplicate and not stored' },
    'run-at': { value: '<instant>', help: 'do not start before, such as 2026-01-31T12:00:00Z' },
    in: { value: '<duration>', help: 'the same from now on: 500ms, 2s, 5m, 1h' },
    'expires-at': { value: '<instant>', help: 'do not start after; the job becomes a dead letter then' },
    key: { value: '<key>', help: 'jobs of the handler with the same key run one at a time, in order' },
    priority: {
      value: `<${priorities.join('|')}>`,
      choices: priorities,
      help: 'how soon beside other jobs; normal when left out',
    },
    header: { value: '<Name:value>', multiple: true, help: 'a header for the handler; may be repeated' },
  },
  example: `millrace enqueue email.send '{"to":"a@b.c"}' --in 5m --key a@b.c`,

  async run(typed, console) {
    const [handler, source] = typed.positionals
    const headers = readHeaders(typed.texts('header'))
    const path = typed.text('file')
    if (path !== undefined) {
      if (source !== undefined) throw usageError('--file has the payloads; give no other one')
      const options = { ...readOptions(typed), headers: withJsonType(headers) }
      checkJob(handler!, undefined, options)
      const job = { handler: handler!, ...options }
      return await withClient(typed, (client) =>
        enqueueFile(client, { path, job, checkPayload: problemOf }, console, typed.json),
      )
    }
    const payload = await readPayload(source, headers, console)
    const options = { ...readOptions(typed), headers }
    checkJob(handler!, payload, options)
    await withClient(typed, async (client) => {
      const job = await client.enqueue(handler!, payload, options)
      if (typed.json) console.print(JSON.stringify(job))
      else console.print(job.id)
      const what = job.duplicate ? 'a duplicate of' : 'stored as'
      console.narrate(`${what} ${job.stream} ${job.sequence}`)
      await narrateUnknownHandler(handler!, client, console)
    })
    return cliExitCodes.ok
  },
}

function readOptions(typed: Typed) {
  const inText = typed.text('in')
  if (inText !== undefined && typed.text('run-at') !== undefined)
    throw usageError('--in and --run-at say the same thing; give one of them')
  return {
    id: typed.text('id'),
    runAt: typed.text('run-at'),
    delayMs: inText === undefined ? undefined : readDuration('--in', inText),
    expiresAt: typed.text('expires-at'),
    key: typed.text('key'),
    // What is none of them is refused by the client.
    priority: typed.text('priority') as Priority | undefined,
  }
}

function readHeaders(given: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const text of given) {
    const colon = text.indexOf(':')
    if (colon < 1) throw usageError(`--header must be Name:value, got ${JSON.stringify(text)}`)
    const name = text.slice(0, colon).trim()
    if (Object.hasOwn(headers, name)) throw usageError(`the header ${name} is given twice; join its values`)
    headers[name] = text.slice(colon + 1).trim()
  }
  return headers
}

/** The bytes as they are, so that no number loses a digit on its way through JavaScript. */
async function readPayload(
  source: string | undefined,
  headers: Record<string, string>,
  console: Console,
): Promise<Uint8Array | undefined> {
  if (source === undefined) return undefined
  const bytes =
    source === '-'
      ? await console.read()
      : source.startsWith('@')
        ? readFile(source.slice(1))
        : Buffer.from(source)
  if (bytes.length === 0) return undefined
  const contentType = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type')
  if (!isJsonType(contentType?.[1])) return bytes
  if (problemOf(bytes) !== undefined)
    throw usageError(`the payload is not valid JSON; quote it for the shell, such as '{"to":"a@b.c"}'`)
  if (!contentType) headers['content-type'] = 'application/json'
  return bytes
}

function withJsonType(headers: Record<string, string>): Record<string, string> {
  const isSaid = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type')
  return isSaid ? headers : { ...headers, 'content-type': 'application/json' }
}

function problemOf(bytes: Uint8Array): string | undefined {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return undefined
  } catch {
    return 'it is not valid JSON'
  }
}

function readFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw usageError(`cannot read ${JSON.stringify(path)}: ${(error as Error).message}`)
  }
}
