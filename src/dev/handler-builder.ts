import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BuildContext, BuildFailure, BuildOptions, BuildResult, Message, Plugin } from 'esbuild'
import { MillraceError } from '../core/errors.ts'
import { isHandlerName } from '../core/names.ts'
import { handlerNameOf, walkHandlers } from '../threads/handlers-folder.ts'

/** A handler as JavaScript that Node.js can run. */
export interface BuiltHandler {
  readonly name: string
  /** Where it goes, relative to the folder of all built handlers: `email/send.mjs`. */
  readonly file: string
  readonly code: string
}

/** Why a handler could not be built. */
export interface HandlerFailure {
  readonly name: string
  /** Each with file, line and column. */
  readonly messages: readonly string[]
}

/** The state of a handlers folder. */
export interface HandlerBuild {
  readonly handlers: readonly BuiltHandler[]
  readonly failures: readonly HandlerFailure[]
  /** Every folder in which a change can make another build necessary. */
  readonly folders: ReadonlySet<string>
}

const sources = /\.[mc]?[jt]sx?$/
const declarations = /\.d\.[mc]?ts$/

/**
 * Compiles each handler of a folder, with the files that it imports from the project, into one file, and again
 * whatever has changed. Packages are left where they are. Types are not checked.
 */
export class HandlerBuilder {
  readonly #esbuild: typeof import('esbuild')
  readonly #folder: string
  readonly #outDir: string
  readonly #contexts = new Map<string, BuildContext<{ metafile: true; write: false }>>()
  /** What each file is made of; also, without their endings, files that are not there or cannot be read. */
  readonly #inputs = new Map<string, Set<string>>()

  /**
   * @param outDir - where the files will be, or a folder as deep: packages and sources are found from there.
   * @throws {MillraceError} `handlers_missing` when esbuild is not installed.
   */
  static async create(folder: string, outDir: string): Promise<HandlerBuilder> {
    try {
      return new HandlerBuilder(await import('esbuild'), folder, outDir)
    } catch (cause) {
      throw new MillraceError(
        'handlers_missing',
        'handlers in TypeScript need the package esbuild, which is not installed: npm install --save-dev esbuild',
        { cause },
      )
    }
  }

  private constructor(esbuild: typeof import('esbuild'), folder: string, outDir: string) {
    this.#esbuild = esbuild
    this.#folder = realpathSync(folder)
    this.#outDir = outDir
  }

  /** Builds what is there now; what cannot be built is among the failures. */
  async build(): Promise<HandlerBuild> {
    const files = this.#files()
    const { usable, failures } = sorted(files)
    await this.#forgetAllBut(new Set(usable.values()))
    const built = await Promise.all([...usable].map(([name, file]) => this.#buildOne(name, file)))
    return {
      handlers: built.filter((one) => 'code' in one),
      failures: [...failures, ...built.filter((one) => 'messages' in one)],
      folders: this.#folders(),
    }
  }

  #files(): string[] {
    // It may be away for a moment, while a version control system puts another state in its place.
    if (!existsSync(this.#folder)) return []
    return [...walkHandlers(this.#folder, sources)].filter((file) => !declarations.test(file)).sort()
  }

  async dispose(): Promise<void> {
    await this.#forgetAllBut(new Set())
  }

  async #buildOne(name: string, file: string): Promise<BuiltHandler | HandlerFailure> {
    try {
      const context = this.#contexts.get(file) ?? (await this.#open(file))
      this.#contexts.set(file, context)
      const result = await context.rebuild()
      const inputs = Object.keys(result.metafile.inputs).map((input) => path.resolve(input))
      this.#inputs.set(file, new Set(inputs))
      const code = result.outputFiles[0]!.text
      const needsRequire = code.includes('Dynamic require of "')
      return {
        name,
        file: outputOf(file),
        code: needsRequire ? await this.#withRequire(file) : code,
      }
    } catch (error) {
      const { errors } = error as Partial<BuildFailure>
      return { name, messages: errors?.map(located) ?? [String(error)] }
    }
  }

  #open(file: string): Promise<BuildContext<{ metafile: true; write: false }>> {
    return this.#esbuild.context(this.#options(file))
  }

  /** CommonJS that calls `require` for packages, where there is none. */
  async #withRequire(file: string): Promise<string> {
    const js =
      "import { createRequire as createMillraceRequire } from 'node:module'; globalThis.require ??= createMillraceRequire(import.meta.url);"
    const result: BuildResult<{ metafile: true; write: false }> = await this.#esbuild.build({
      ...this.#options(file),
      banner: { js },
    })
    return result.outputFiles[0]!.text
  }

  #options(file: string): BuildOptions & { metafile: true; write: false } {
    return {
      entryPoints: [path.join(this.#folder, file)],
      outfile: path.join(this.#outDir, outputOf(file)),
      bundle: true,
      write: false,
      metafile: true,
      platform: 'node',
      format: 'esm',
      target: `node${process.versions.node}`,
      packages: 'external',
      // Also where the paths of a tsconfig.json lead elsewhere.
      external: ['millrace', 'millrace/*'],
      sourcemap: 'inline',
      sourcesContent: false,
      keepNames: true,
      logLevel: 'silent',
      define: Object.fromEntries(
        Object.entries(metaNames).map(([field, name]) => [`import.meta.${field}`, name]),
      ),
      plugins: [noting((input) => this.#note(file, input)), ownMeta],
    }
  }

  #note(file: string, input: string): void {
    const inputs = this.#inputs.get(file) ?? new Set()
    this.#inputs.set(file, inputs.add(input))
  }

  async #forgetAllBut(files: ReadonlySet<string>): Promise<void> {
    for (const [file, context] of this.#contexts) {
      if (files.has(file)) continue
      this.#contexts.delete(file)
      this.#inputs.delete(file)
      await context.dispose()
    }
  }

  #folders(): ReadonlySet<string> {
    const inputs = [...this.#inputs.values()].flatMap((files) => [...files].map(nearest))
    return new Set([...foldersOf(this.#folder), ...inputs])
  }
}

/** Which file is which handler; a name that cannot be, or that two files have, is a failure. */
function sorted(files: readonly string[]): {
  usable: ReadonlyMap<string, string>
  failures: readonly HandlerFailure[]
} {
  const usable = new Map<string, string>()
  const failures: HandlerFailure[] = []
  for (const file of files) {
    const name = handlerNameOf(file)
    const other = usable.get(name)
    if (!isHandlerName(name)) {
      const rule =
        'a name is made of letters, digits and hyphens; begin it with _ if this is no handler of its own'
      failures.push({ name, messages: [`${file} cannot be a handler: ${rule}`] })
    } else if (other !== undefined) {
      failures.push({ name, messages: [`${file} and ${other} are both the handler ${name}; keep one`] })
      usable.delete(name)
    } else usable.set(name, file)
  }
  return { usable, failures }
}

function outputOf(file: string): string {
  return file.replace(sources, '.mjs')
}

/**
 * With all below it, also those that hold nothing yet; or the one in which it will appear.
 *
 * @param above - the real folders on the way here: a link back to one of them is not followed.
 */
function* foldersOf(folder: string, above: readonly string[] = []): Generator<string> {
  if (!isFolder(folder)) {
    yield nearest(folder)
    return
  }
  const real = realpathSync(folder)
  if (above.includes(real)) return
  yield folder
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const found = path.join(folder, entry.name)
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
    if (entry.isDirectory() || (entry.isSymbolicLink() && isFolder(found)))
      yield* foldersOf(found, [...above, real])
  }
}

function isFolder(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() === true
}

/** The nearest folder that is there, from this path upwards. */
function nearest(file: string): string {
  for (let dir = file; ; dir = path.dirname(dir)) if (isFolder(dir) || dir === path.dirname(dir)) return dir
}

/** `handlers/email/send.ts:7:11: Expected ";"`, and the line with a mark below. */
function located({ text, location }: Message): string {
  if (!location) return text
  const { file, line, column, lineText } = location
  const mark = `${lineText.slice(0, column).replaceAll(/[^\t]/g, ' ')}^`
  return `${file}:${line}:${column + 1}: ${text}\n    ${lineText}\n    ${mark}`
}

const metaNames = {
  url: '__millraceFileUrl',
  filename: '__millraceFileName',
  dirname: '__millraceDirName',
} as const

/** Tells of each file of the project that is imported, whether or not it is there. */
function noting(note: (file: string) => void): Plugin {
  return {
    name: 'noting',
    setup(build) {
      build.onResolve({ filter: /^\.{0,2}\// }, ({ path: wanted, resolveDir }) => {
        note(path.resolve(resolveDir, wanted))
        return undefined
      })
    },
  }
}

/** A file that asks where it is gets told where its source is, and not where the bundle is. */
const ownMeta: Plugin = {
  name: 'own-meta',
  setup(build) {
    build.onLoad({ filter: sources, namespace: 'file' }, async ({ path: file }) => {
      const text = await readFile(file, 'utf8')
      if (!text.includes('import.meta')) return undefined
      const values = { url: pathToFileURL(file).href, filename: file, dirname: path.dirname(file) }
      const consts = Object.entries(values).map(
        ([field, value]) => `const ${metaNames[field as keyof typeof metaNames]} = ${JSON.stringify(value)};`,
      )
      // On the first line, so that the numbers of all lines stay.
      return { contents: consts.join('') + text, loader: loaderOf(file) }
    })
  },
}

function loaderOf(file: string): 'js' | 'jsx' | 'ts' | 'tsx' {
  const [, kind = 'j', x = ''] = /([jt])s(x?)$/.exec(file) ?? []
  return `${kind}s${x}` as 'js' | 'jsx' | 'ts' | 'tsx'
}
