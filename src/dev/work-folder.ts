import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { isAlive } from '../broker/file-lock.ts'
import { MillraceError } from '../core/errors.ts'

/** Below the nearest package.json, so that whatever is resolved from here is resolved as from the project. */
const folderName = '.millrace'

/**
 * Makes a folder for the handlers that this process builds, and removes those of processes that are gone. It is in the
 * package that `folder` belongs to: its packages are found from there.
 */
export function makeBuildFolder(folder: string): string {
  const home = millraceFolder(path.dirname(path.resolve(folder, 'any')))
  for (const name of readdirSync(home)) {
    const pid = /^build-(\d+)$/.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid)))
      rmSync(path.join(home, name), { recursive: true, force: true })
  }
  const made = path.join(home, `build-${process.pid}`)
  mkdirSync(made, { recursive: true })
  return made
}

/**
 * The folder that keeps the jobs of a project between runs, for this process alone.
 *
 * @throws {MillraceError} `invalid_settings` while another process has it: two servers would ruin it.
 */
export function takeStoreFolder(): { readonly folder: string; release(): void } {
  const home = millraceFolder(process.cwd())
  const lock = path.join(home, 'broker.pid')
  if (existsSync(lock)) {
    const holder = Number(readFileSync(lock, 'utf8'))
    if (holder > 0 && holder !== process.pid && isAlive(holder)) {
      throw new MillraceError(
        'invalid_settings',
        `millrace dev runs here already, as process ${holder}: stop it, or add --temporary for a broker of its own, or remove ${lock} if that is another program`,
      )
    }
  }
  writeFileSync(lock, String(process.pid))
  return { folder: path.join(home, 'broker'), release: () => rmSync(lock, { force: true }) }
}

function millraceFolder(from: string): string {
  const folder = path.join(packageFolder(from), folderName)
  mkdirSync(folder, { recursive: true })
  const ignore = path.join(folder, '.gitignore')
  if (!existsSync(ignore)) writeFileSync(ignore, '*\n')
  return folder
}

function packageFolder(from: string): string {
  for (let dir = from; ; dir = path.dirname(dir)) {
    if (existsSync(path.join(dir, 'package.json'))) return dir
    if (dir === path.dirname(dir)) return from
  }
}
