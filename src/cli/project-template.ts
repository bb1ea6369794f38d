import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** One file of a new project. */
export interface ProjectFile {
  /** Relative to the project, with forward slashes. */
  readonly file: string
  readonly content: string
}

/** The files of `template/`, with what is between braces filled in; those whose names begin with `_` with a dot. */
export function projectFiles(values: { readonly name: string; readonly millrace: string }): ProjectFile[] {
  const template = path.join(root, 'template')
  return readdirSync(template, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((source): ProjectFile => {
      const file = path.relative(template, source).split(path.sep).join('/').replace(/^_/, '.')
      const text = readFileSync(source, 'utf8')
      // In JSON, whose strings a path of Windows would end.
      const fill = (value: string): string =>
        file.endsWith('.json') ? JSON.stringify(value).slice(1, -1) : value
      const content = text.replace(/\{\{(name|millrace)\}\}/g, (_, field: keyof typeof values) =>
        fill(values[field]),
      )
      return { file, content }
    })
    .sort((a, b) => (a.file < b.file ? -1 : 1))
}

/** A name that npm accepts, made of the folder's. */
export function projectName(folder: string): string {
  const name = path
    .basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|-+$/g, '')
    .slice(0, 100)
  // npm would take the project for the package that it depends on.
  return name === '' || name === 'millrace' ? 'millrace-jobs' : name
}

/**
 * How a project depends on millrace: by its version, and by its place as long as it is not published, because npm would
 * find no version of it.
 */
export function millraceSpecifier(folder: string): string {
  const own = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    readonly version: string
    readonly private?: boolean
  }
  if (!own.private) return `^${own.version}`
  return `file:${path.relative(folder, root).split(path.sep).join('/')}`
}
