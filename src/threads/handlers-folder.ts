import { readdirSync, realpathSync, statSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MillraceError } from '../core/errors.ts'
import { isHandlerName } from '../core/names.ts'
import type { HandlerFile } from './lane-protocol.ts'

/**
 * Finds the handler files below `folder`: `email/send.js` is `email.send`.
 *
 * Names that begin with `_` or `.`, `.d.ts` files and everything that is not `.js`, `.mjs` or `.cjs`
 * are left out, and so is `node_modules`.
 *
 * @throws {MillraceError} `handlers_missing` when there is no such folder or nothing in it;
 * `invalid_definition` when a file's name cannot be a handler's, or two files have the same name.
 */
export function findHandlers(folder: string): HandlerFile[] {
  const root = resolve(folder)
  let real: string
  try {
    real = realpathSync(root)
    if (!statSync(real).isDirectory()) throw new Error('not a folder')
  } catch (cause) {
    throw new MillraceError(
      'handlers_missing',
      `the handlers folder ${root} does not exist; build the handlers, or name their folder in MILLRACE_HANDLERS`,
      { cause },
    )
  }
  const files = new Map<string, HandlerFile & { path: string }>()
  const problems: string[] = []
  for (const path of walkHandlers(real, /\.[mc]?js$/)) {
    const name = handlerNameOf(path)
    const other = files.get(name)
    if (!isHandlerName(name)) {
      problems.push(
        `${path} cannot be a handler: a name is made of letters, digits and hyphens; begin it with _ to leave it out`,
      )
    } else if (other) {
      problems.push(`${path} and ${other.path} are both the handler ${name}; keep one`)
    } else {
      files.set(name, { name, path, url: pathToFileURL(join(real, path)).href })
    }
  }
  if (problems.length > 0) throw new MillraceError('invalid_definition', problems.join('\n'))
  if (files.size === 0) {
    throw new MillraceError('handlers_missing', `the handlers folder ${root} holds no .js, .mjs or .cjs file`)
  }
  return [...files.values()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, url }) => ({ name, url }))
}

/** The name of the handler in the file at this path, relative to the handlers folder; it may be no valid one. */
export function handlerNameOf(path: string): string {
  return path.slice(0, path.lastIndexOf('.')).split(sep).join('.')
}

/**
 * The paths below `root` of the files that can be handlers and whose names end in `ending`.
 *
 * @param above - the real folders on the way here: a link back to one of them is not followed.
 */
export function* walkHandlers(
  root: string,
  ending: RegExp,
  below = '',
  above: readonly string[] = [root],
): Generator<string> {
  for (const entry of readdirSync(join(root, below), { withFileTypes: true })) {
    if (/^[_.]/.test(entry.name) || entry.name === 'node_modules') continue
    const path = below === '' ? entry.name : join(below, entry.name)
    if (entry.isDirectory() || (entry.isSymbolicLink() && isFolder(join(root, path)))) {
      const real = realpathSync(join(root, path))
      if (!above.includes(real)) yield* walkHandlers(root, ending, path, [...above, real])
    } else if (ending.test(entry.name)) yield path
  }
}

/** A link that leads nowhere is none; when it is named like a handler, its import says so. */
function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
