import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { MillraceError } from '../core/errors.ts'
import { fetchWithApt } from './apt-source.ts'
import { defaultCacheDir } from './cache-dir.ts'
import { withFileLock } from './file-lock.ts'
import {
  type FindServerOptions,
  findServer,
  type ServerBinary,
  serverFileName,
  usableVersion,
} from './find-server.ts'
import { fetchRelease } from './release-source.ts'
import { serverHelp } from './server-help.ts'

/**
 * One way to get a server. Puts it below `workDir` and answers its path; throws when it cannot,
 * with a message that completes the sentence "this way failed: …".
 */
export type ServerSource = {
  readonly name: string
  fetch(workDir: string, narrate: (line: string) => void): Promise<string>
}

/** What {@link obtainServer} can be told. */
export type ObtainServerOptions = {
  /** @default `.cache/nats-server` in the project */
  cacheDir?: string
  narrate?: (line: string) => void
  /** Tried in order. @default the distribution's packages, then the official release */
  sources?: readonly ServerSource[]
}

/** The ways to get a server, the one with the shorter chain of trust first. */
export const serverSources: readonly ServerSource[] = [
  { name: 'apt', fetch: fetchWithApt },
  { name: 'official release', fetch: fetchRelease },
]

/**
 * The server to use: one that is on this machine, else one that is obtained now.
 *
 * @throws {MillraceError} `server_not_found`, with one screen that says what to type.
 */
export async function ensureServer(
  options: FindServerOptions & ObtainServerOptions = {},
): Promise<ServerBinary> {
  return (await findServer(options)) ?? (await obtainServer(options))
}

/**
 * Gets a nats-server into the project's cache, without root and without touching the system.
 *
 * 1. One process at a time: others wait, then find what the first one brought.
 * 2. Each source works in a folder of its own, which is removed whatever happens.
 * 3. Only a server that ran and told a version that is new enough is moved into the cache, by a
 *    rename, so that a partial file is never taken for a server.
 *
 * @throws {MillraceError} `server_not_found` when no source can deliver, with what each one said.
 */
export async function obtainServer(options: ObtainServerOptions = {}): Promise<ServerBinary> {
  const cacheDir = options.cacheDir ?? defaultCacheDir()
  const narrate = options.narrate ?? (() => {})
  await mkdir(cacheDir, { recursive: true })
  return withFileLock(path.join(cacheDir, 'obtaining.lock'), narrate, async () => {
    const target = path.join(cacheDir, serverFileName)
    const ready = await usableVersion(target).catch(() => undefined)
    if (ready !== undefined) return { path: target, version: ready, source: 'cache' }

    const failures: string[] = []
    for (const source of options.sources ?? serverSources) {
      const workDir = await mkdtemp(path.join(cacheDir, 'partial-'))
      try {
        const file = await source.fetch(workDir, narrate)
        const version = await usableVersion(file)
        await rename(file, target)
        narrate(`nats-server ${version} is ready in ${cacheDir}`)
        return { path: target, version, source: 'cache' }
      } catch (error) {
        failures.push(`${source.name}: ${(error as Error).message}`)
        narrate(`no nats-server by way of ${source.name}`)
      } finally {
        await rm(workDir, { recursive: true, force: true })
      }
    }
    throw new MillraceError('server_not_found', serverHelp(failures))
  })
}
