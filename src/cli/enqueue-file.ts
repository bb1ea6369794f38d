import { createReadStream, statSync } from 'node:fs'
import type { Client } from '../client/client.ts'
import type { JobToEnqueue } from '../client/new-job.ts'
import { type Console, cliExitCodes, usageError } from './command.ts'
import { Progress } from './progress.ts'

/** So many failures are told one by one. */
const mostTold = 20
const newline = 10

/**
 * Stores a job for each line of a file that is not empty. With an id they are `<id>:<line>`, so that
 * who runs it again within the duplicate window stores only what is missing.
 */
export async function enqueueFile(
  client: Client,
  { path, job, checkPayload }: FileToEnqueue,
  console: Console,
  json: boolean,
): Promise<number> {
  const size = sizeOf(path)
  const progress = new Progress(console, 'storing')
  const lines: number[] = []
  let read = 0
  let refused = 0
  let told = 0
  const fail = (line: number, why: string): void => {
    told += 1
    if (told <= mostTold) console.narrate(`line ${line}: ${why}`)
    if (told === mostTold + 1) console.narrate('…')
  }
  async function* jobs(): AsyncGenerator<JobToEnqueue> {
    let number = 0
    for await (const line of linesOf(path)) {
      number += 1
      read += line.length + 1
      if (line.length === 0) continue
      const problem = checkPayload(line)
      if (problem !== undefined) {
        refused += 1
        fail(number, problem)
        continue
      }
      lines.push(number)
      yield { ...job, payload: line, ...(job.id === undefined ? {} : { id: `${job.id}:${number}` }) }
    }
  }
  let answered = 0
  const report = await client.enqueueMany(jobs(), {
    onStored() {
      answered += 1
      progress.say(() => ({
        done: answered,
        // Lines are about as long as those so far.
        total: Math.max(answered, Math.round((lines.length * size) / Math.max(read, 1))),
        line: `stored ${answered} so far`,
      }))
    },
    onFailure: ({ index, error }) => fail(lines[index] ?? 0, `${error.code}: ${error.message}`),
  })
  progress.end()
  const failed = report.failed + refused
  const { stored, duplicates } = report
  if (json) console.print(JSON.stringify({ stored, duplicates, failed }))
  console.narrate(`stored ${stored}, ${duplicates} were duplicates, ${failed} failed`)
  return failed > 0 ? cliExitCodes.failed : cliExitCodes.ok
}

/** A file of payloads, and what their jobs have in common. */
export interface FileToEnqueue {
  readonly path: string
  readonly job: JobToEnqueue
  /** Answers why the bytes of a line cannot be a payload. */
  checkPayload(line: Uint8Array): string | undefined
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch (error) {
    throw usageError(`cannot read ${JSON.stringify(path)}: ${(error as Error).message}`)
  }
}

/** Bytes as they are, without their newlines. */
async function* linesOf(path: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(path)) {
    let from = 0
    const bytes = Buffer.concat([rest, chunk as Buffer])
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, from)) {
      yield withoutReturn(bytes.subarray(from, end))
      from = end + 1
    }
    rest = bytes.subarray(from)
  }
  if (rest.length > 0) yield withoutReturn(rest)
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === 13 ? line.subarray(0, -1) : line
}
