import { readFileSync, statSync } from 'node:fs'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { fileURLToPath } from 'node:url'

/** A larger file is not read: that would hold the supervisor up. */
const largestBytes = 4 * 1024 * 1024
/** Nor is a larger source map, which has to be parsed, too. */
const largestMapBytes = 1024 * 1024
/** Files are kept for those who ask next, but not for ever: they take up room, and they change. */
const keptMs = 10_000
const mostFiles = 50

/** A place in a file, counted from 1. */
export interface Place {
  readonly path: string
  readonly line: number
  readonly column: number
}

/** A file that code was loaded from, and where it came from. */
export class SourceFile {
  /** Undefined when it is too large to be read. */
  readonly text: string | undefined
  readonly #path: string
  readonly #map: SourceMap | undefined
  /** What the sources of the map are named from. */
  readonly #base: string

  constructor(url: URL) {
    this.#path = fileURLToPath(url)
    this.text = readSmall(url, largestBytes)
    const found = this.text === undefined ? undefined : sourceMapOf(this.text, url)
    this.#map = found?.map
    this.#base = found?.base ?? url.href
  }

  /** Where the code at this place was written; the place itself when no map says so, or one that nobody understands. */
  origin(line: number, column: number): Place {
    const here = { path: this.#path, line, column }
    try {
      const entry = this.#map?.findEntry(line - 1, column - 1)
      if (!entry || !('originalSource' in entry) || typeof entry.originalSource !== 'string') return here
      const { originalSource, originalLine, originalColumn } = entry
      const url = new URL(originalSource, this.#base)
      const path = url.protocol === 'file:' ? fileURLToPath(url) : url.pathname
      return { path, line: originalLine + 1, column: originalColumn + 1 }
    } catch {
      return here
    }
  }
}

const files = new Map<string, SourceFile | undefined>()

/** The file at this URL, as it was when somebody asked for it in the last ten seconds; undefined when there is none. */
export function sourceFile(url: URL): SourceFile | undefined {
  const known = files.get(url.href)
  if (known || files.has(url.href)) return known
  if (files.size >= mostFiles) files.clear()
  const file = isFile(url) ? new SourceFile(url) : undefined
  if (files.size === 0) setTimeout(() => files.clear(), keptMs).unref()
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

function sourceMapOf(text: string, url: URL): { map: SourceMap; base: string } | undefined {
  const at = text.lastIndexOf('//# sourceMappingURL=')
  if (at < 0) return undefined
  try {
    const found = mapText(text.slice(at + '//# sourceMappingURL='.length), url)
    if (found?.json === undefined) return undefined
    const payload = JSON.parse(found.json) as SourceMapPayload
    const root = payload.sourceRoot ? `${payload.sourceRoot.replace(/\/$/, '')}/` : '.'
    return { map: new SourceMap(payload), base: new URL(root, found.place).href }
  } catch {
    return undefined
  }
}

/** The text of a map that a file names, or has in itself, and its place. */
function mapText(reference: string, url: URL): { json: string | undefined; place: URL } | undefined {
  const inline = /^data:application\/json;(?:charset=[\w-]+;)?base64,([\w+/=]*)/.exec(reference)?.[1]
  if (inline !== undefined) {
    if (Buffer.byteLength(inline, 'base64') > largestMapBytes) return undefined
    return { json: Buffer.from(inline, 'base64').toString(), place: url }
  }
  const name = /^\S+/.exec(reference)?.[0]
  if (name === undefined) return undefined
  const place = new URL(name, url)
  return { json: readSmall(place, largestMapBytes), place }
}

function readSmall(url: URL, limitBytes: number): string | undefined {
  try {
    return isFile(url) && statSync(url).size <= limitBytes ? readFileSync(url, 'utf8') : undefined
  } catch {
    return undefined
  }
}
