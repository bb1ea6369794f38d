import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DeadLetterRecord } from '../core/dead-letter-record.ts'
import { MillraceError } from '../core/errors.ts'
import { isJsonType } from '../core/job-headers.ts'
import { decodeUtf8 } from '../core/payload-text.ts'
import type { Console } from './command.ts'
import { contentTypeOf } from './dead-letter-json.ts'

/**
 * Lets somebody change the payload of a dead letter in `$VISUAL` or `$EDITOR`, and answers its bytes, or why it is not to
 * be replayed. Nobody else may read the file, and it is gone afterwards.
 *
 * @throws {MillraceError} `invalid_arguments` when the editor cannot be started or says that it failed: nothing more
 *   is to be done then.
 */
export async function editPayload(letter: DeadLetterRecord, console: Console): Promise<Uint8Array | string> {
  const { stored, sequence, handler } = letter
  if (decodeUtf8(stored.data) === undefined) return 'its payload is no text'
  const isJson = isJsonType(contentTypeOf(letter))
  const folder = await mkdtemp(join(tmpdir(), 'millrace-edit-'))
  const file = join(folder, `${sequence}-${handler}.${isJson ? 'json' : 'txt'}`)
  try {
    await writeFile(file, stored.data, { mode: 0o600 })
    for (;;) {
      await runEditor(file)
      const edited = await readFile(file)
      if (edited.length === 0 && stored.data.length > 0) return 'the file was emptied'
      const data = sameButForLastNewline(edited, stored.data) ? stored.data : edited
      if (!isJson || data.length === 0 || isJsonText(data)) return data
      const isMended = console.interactive && /^(y(es)?)?$/i.test((await console.ask(askAgain)).trim())
      if (!isMended) return 'what was edited is not valid JSON'
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const askAgain = 'that is not valid JSON; edit it again? [Y/n] '

async function runEditor(file: string): Promise<void> {
  const editor = process.env['VISUAL'] || process.env['EDITOR'] || 'vi'
  // Through a shell, as git does, because it may have arguments. Data that is piped on is not for the editor's screen.
  const stdio = ['inherit', process.stdout.isTTY ? 'inherit' : process.stderr, 'inherit'] as const
  const [code, signal] = await once(
    spawn('sh', ['-c', `${editor} "$1"`, editor, file], { stdio: [...stdio] }),
    'exit',
  )
  if (code === 0) return
  const hint = code === 127 ? '; name one in EDITOR' : ''
  throw new MillraceError(
    'invalid_arguments',
    `the editor ${editor} ended with ${signal ?? code}${hint}; nothing more is replayed`,
  )
}

/** Most editors end a file with a newline that was not there. */
function sameButForLastNewline(edited: Buffer, stored: Uint8Array): boolean {
  return edited.equals(stored) || edited.equals(Buffer.concat([stored, Buffer.from('\n')]))
}

function isJsonText(data: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data))
    return true
  } catch {
    return false
  }
}
