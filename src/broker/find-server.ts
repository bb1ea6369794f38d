import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { MillraceError } from '../core/errors.ts'
import { defaultCacheDir } from './cache-dir.ts'

const run = promisify(execFile)

/** The oldest nats-server that Millrace is tested with: what Debian 12 ships. */
export const minimumServerVersion = '2.9.10'

/** A nats-server that can be run, and where it was found. */
export type ServerBinary = {
  readonly path: string
  readonly version: string
  readonly source: 'MILLRACE_NATS_SERVER' | 'PATH' | 'system' | 'cache'
}

/** Where to look; every field has a default, so that only tests need to fill any. */
export type FindServerOptions = {
  /** @default process.env */
  environment?: NodeJS.ProcessEnv
  /** Folders that hold servers but are often missing from a user's `PATH`: Debian's is `/usr/sbin`. */
  systemDirs?: readonly string[]
  /** @default `.cache/nats-server` in the project */
  cacheDir?: string
  /** Told why a server that exists is passed over. */
  narrate?: (line: string) => void
}

const usualDirs = ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin']

/** The name of the server's file on this platform. */
export const serverFileName = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server'

/**
 * Looks for a nats-server on this machine without changing anything: `MILLRACE_NATS_SERVER`, then
 * `PATH`, then the usual system folders, then the project's cache. The first one that answers
 * `--version` with at least {@link minimumServerVersion} wins; `undefined` when there is none.
 *
 * @throws {MillraceError} `server_not_found` when `MILLRACE_NATS_SERVER` is set and cannot be used:
 *   somebody chose that server, so another one would be a surprise.
 */
export async function findServer(options: FindServerOptions = {}): Promise<ServerBinary | undefined> {
  const environment = options.environment ?? process.env
  const chosen = environment['MILLRACE_NATS_SERVER']
  if (chosen) {
    const version = await usableVersion(chosen).catch((error: MillraceError) => {
      throw new MillraceError('server_not_found', `MILLRACE_NATS_SERVER: ${error.message}`, { cause: error })
    })
    return { path: path.resolve(chosen), version, source: 'MILLRACE_NATS_SERVER' }
  }
  const pathDirs = (environment['PATH'] ?? '').split(path.delimiter).filter((dir) => dir !== '')
  const places: [ServerBinary['source'], readonly string[]][] = [
    ['PATH', pathDirs],
    ['system', options.systemDirs ?? usualDirs],
    ['cache', [options.cacheDir ?? defaultCacheDir()]],
  ]
  for (const [source, dirs] of places) {
    for (const dir of dirs) {
      const file = path.resolve(dir, serverFileName)
      if (!(await isExecutable(file))) continue
      try {
        return { path: file, version: await usableVersion(file), source }
      } catch (error) {
        options.narrate?.(`passing over ${(error as MillraceError).message}`)
      }
    }
  }
  return undefined
}

/**
 * The version of the server in `file`.
 *
 * @throws {MillraceError} `server_not_found` when it cannot be run, does not say a version, or is
 *   older than {@link minimumServerVersion}.
 */
export async function usableVersion(file: string): Promise<string> {
  const { stdout } = await run(file, ['--version'], { timeout: 10_000 }).catch((error: Error) => {
    throw new MillraceError('server_not_found', `${file}: cannot be run (${error.message.trim()})`, {
      cause: error,
    })
  })
  const version = /\bv?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1]
  if (version === undefined) {
    throw new MillraceError('server_not_found', `${file}: --version says no version, so it is no nats-server`)
  }
  if (isOlder(version, minimumServerVersion)) {
    throw new MillraceError(
      'server_not_found',
      `${file}: version ${version} is too old, at least ${minimumServerVersion} is needed`,
    )
  }
  return version
}

/** Whether version `a` comes before `b`, by their three numbers; pre-release suffixes are ignored. */
export function isOlder(a: string, b: string): boolean {
  const [left, right] = [numbersOf(a), numbersOf(b)]
  const differing = left.findIndex((number, index) => number !== right[index])
  return differing !== -1 && left[differing]! < right[differing]!
}

function numbersOf(version: string): number[] {
  return version.split('.', 3).map((part) => Number.parseInt(part, 10))
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
