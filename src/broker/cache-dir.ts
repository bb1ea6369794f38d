import { existsSync } from 'node:fs'
import path from 'node:path'

/**
 * The folder that keeps an obtained nats-server between runs: `.cache/nats-server` beside the
 * nearest `package.json` above the working directory, so that a project never shares a half-known
 * binary with another one and deleting the project deletes it.
 */
export function defaultCacheDir(): string {
  return path.join(projectRoot(process.cwd()), '.cache', 'nats-server')
}

function projectRoot(from: string): string {
  for (let dir = from; ; dir = path.dirname(dir)) {
    if (existsSync(path.join(dir, 'package.json'))) return dir
    if (dir === path.dirname(dir)) return from
  }
}
