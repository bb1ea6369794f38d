import { isAbsolute, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { mostFrames } from '../core/whereabouts.ts'
import { handlersPart } from './own-code.ts'
import type { RawFrame } from './probe.ts'
import { type SourceFile, sourceFile } from './source-files.ts'

/**
 * Turns the innermost frames of a thread's stack into lines for people: `function (file:line:column)`.
 *
 * 1. The frames of the probe are left out, and so are those through which the handler was called.
 * 2. A position is where the source map of its file leads; files are named from the working directory.
 * 3. A function's name is told only when it is written in its file, and a file's only when there is such a file: names
 *    that were computed may be a payload's.
 * 4. No more files are read than frames are kept: that holds the supervisor up.
 */
export function describeFrames(raw: readonly RawFrame[]): string[] {
  const called = handlersPart(raw.slice(probeFrames), ([, file]) => file)
  return called.slice(0, mostFrames).map(describeFrame)
}

/** The probe itself, what makes its stack, and the expression that calls it. */
const probeFrames = 3

function describeFrame([name, file, line, column]: RawFrame): string {
  if (line === null || column === null)
    return `${name !== null && /^[\w$]+$/.test(name) ? name : 'code'} (native)`
  if (file === null || file === '') return '(eval)'
  if (file.startsWith('node:')) return named(name, `${file}:${line}:${column}`)
  const source = sourceOf(file)
  if (!source) return '(eval)'
  const isWritten = source.text !== undefined && isNameIn(name, source.text)
  const origin = source.origin(line, column)
  return named(isWritten ? name : null, `${pathText(origin.path)}:${origin.line}:${origin.column}`)
}

function named(name: string | null, place: string): string {
  return name === null || name === '' ? place : `${name} (${place})`
}

/** What follows the path in a URL may be a payload's, too. */
function sourceOf(file: string): SourceFile | undefined {
  try {
    const url = isAbsolute(file) ? pathToFileURL(file) : new URL(file)
    if (url.protocol !== 'file:') return undefined
    url.search = ''
    url.hash = ''
    return sourceFile(url)
  } catch {
    return undefined
  }
}

function isNameIn(name: string | null, text: string): boolean {
  const words = name?.replaceAll(/<anonymous>|<computed>/g, '').match(/[\p{ID_Continue}$]+/gu) ?? []
  return words.every((word) => text.includes(word))
}

function pathText(path: string): string {
  const near = relative(process.cwd(), path)
  return near.startsWith('..') ? path : near
}
