import { readFileSync, statSync } from 'node:fs'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { isAbsolute, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { RawFrame } from './probe.ts'

/** A larger file, or source map, is not read: that would hold the supervisor up. */
const largestBytes = 4 * 1024 * 1024
const ownFolder = new URL('.', import.meta.url).href

interface SourceFile {
  /** Undefined when it is too large to be read. */
  readonly text: string | undefined
  readonly map: SourceMap | undefined
}

/**
 * Turns the frames of a thread's stack into lines for people: `function (file:line:column)`.
 *
 * 1. The frames of the probe are left out, and so are those through which the lane called the handler.
 * 2. A position is where the source map of its file leads; files are named from the working directory.
 * 3. A function's name is told only when it is written in its file, and a file's only when there is such a file: names
 *    that were computed may be a payload's.
 */
export function describeFrames(raw: readonly RawFrame[]): string[] {
  const files = new Map<string, SourceFile | undefined>()
  const frames = raw.slice(probeFrames)
  const last = frames.findLastIndex((frame) => !isOurs(frame))
  return frames.slice(0, last + 1).map((frame) => describeFrame(frame, files))
}

/** The probe itself, what makes its stack, and the expression that calls it. */
const probeFrames = 3

function isOurs([, file]: RawFrame): boolean {
  return file?.startsWith(ownFolder) === true || file?.startsWith('node:') === true
}

function describeFrame(
  [name, file, line, column]: RawFrame,
  files: Map<string, SourceFile | undefined>,
): string {
  if (line === null || column === null)
    return `${name !== null && /^[\w$]+$/.test(name) ? name : 'code'} (native)`
  if (file === null || file === '') return '(eval)'
  if (file.startsWith('node:')) return named(name, `${file}:${line}:${column}`)
  const url = urlOf(file)
  if (!url) return '(eval)'
  const source = readOnce(url, files)
  if (!source) return '(eval)'
  const isWritten = source.text !== undefined && isNameIn(name, source.text)
  return named(isWritten ? name : null, originOf(url, line, column, source))
}

function named(name: string | null, place: string): string {
  return name === null || name === '' ? place : `${name} (${place})`
}

/** What follows the path in a URL may be a payload's, too. */
function urlOf(file: string): URL | undefined {
  try {
    const url = isAbsolute(file) ? pathToFileURL(file) : new URL(file)
    if (url.protocol !== 'file:') return undefined
    url.search = ''
    url.hash = ''
    return url
  } catch {
    return undefined
  }
}

function isNameIn(name: string | null, text: string): boolean {
  const words = name?.replaceAll(/<anonymous>|<computed>/g, '').match(/[\p{ID_Continue}$]+/gu) ?? []
  return words.every((word) => text.includes(word))
}

function originOf(url: URL, line: number, column: number, source: SourceFile): string {
  const here = `${pathText(fileURLToPath(url))}:${line}:${column}`
  const entry = source.map?.findEntry(line - 1, column - 1)
  if (!entry || !('originalSource' in entry)) return here
  const { originalSource, originalLine, originalColumn } = entry
  const origin = new URL(originalSource, url)
  const path = origin.protocol === 'file:' ? pathText(fileURLToPath(origin)) : origin.pathname
  return `${path}:${originalLine + 1}:${originalColumn + 1}`
}

function pathText(path: string): string {
  const near = relative(process.cwd(), path)
  return near.startsWith('..') ? path : near
}

function readOnce(url: URL, files: Map<string, SourceFile | undefined>): SourceFile | undefined {
  const known = files.get(url.href)
  if (known || files.has(url.href)) return known
  const text = readSmall(url)
  const map = text === undefined ? undefined : sourceMapOf(text, url)
  const file = isFile(url) ? { text, map } : undefined
  files.set(url.href, file)
  return file
}

/** Code can be given any name, also that of a pipe, which would never end. */
function isFile(url: URL): boolean {
  try {
    return statSync(url).isFile()
  } catch {
    return false
  }
}

function sourceMapOf(text: string, url: URL): SourceMap | undefined {
  const at = text.lastIndexOf('//# sourceMappingURL=')
  const reference = /^\/\/# sourceMappingURL=(\S+)/.exec(text.slice(at))?.[1]
  if (at < 0 || reference === undefined) return undefined
  try {
    const inline = /^data:application\/json;(?:charset=[\w-]+;)?base64,(.*)$/.exec(reference)?.[1]
    const json =
      inline === undefined ? readSmall(new URL(reference, url)) : Buffer.from(inline, 'base64').toString()
    return json === undefined ? undefined : new SourceMap(JSON.parse(json) as SourceMapPayload)
  } catch {
    return undefined
  }
}

function readSmall(url: URL): string | undefined {
  try {
    return isFile(url) && statSync(url).size <= largestBytes ? readFileSync(url, 'utf8') : undefined
  } catch {
    return undefined
  }
}
