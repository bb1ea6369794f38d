import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { prepareOwnLists, requireApt, runApt } from '#src/broker/apt-source.js'

const run = promisify(execFile)

/**
 * Fetches a package of Debian or Ubuntu with all that this machine lacks for it, and unpacks them into
 * one folder of `cacheDir`: no root, nothing installed, no service started. Answers the folder. A folder
 * that is there already is complete.
 */
export async function fetchPackages(
  name: string,
  cacheDir: string,
  narrate: (line: string) => void,
): Promise<string> {
  const target = path.join(cacheDir, name)
  if (await exists(target)) return target
  await mkdir(cacheDir, { recursive: true })
  const workDir = await mkdtemp(path.join(cacheDir, 'partial-'))
  try {
    await requireApt(workDir)
    narrate(`fetching the package ${name} with apt-get download (nothing is installed)`)
    await download(name, workDir, []).catch(async () => {
      narrate(`the package lists do not have it, reading lists of our own with apt-get update`)
      const ownLists = await prepareOwnLists(workDir)
      await runApt(workDir, [...ownLists, 'update'])
      await download(name, workDir, ownLists)
    })
    const unpacked = path.join(workDir, 'unpacked')
    for (const file of await readdir(workDir)) {
      if (file.endsWith('.deb')) await run('dpkg', ['-x', path.join(workDir, file), unpacked])
    }
    await rename(unpacked, target)
    return target
  } finally {
    await rm(workDir, { recursive: true, force: true })
  }
}

async function download(name: string, workDir: string, options: readonly string[]): Promise<void> {
  // A simulated installation names everything that is missing, and changes nothing.
  const plan = await runApt(workDir, [...options, '--simulate', '--no-install-recommends', 'install', name])
  const missing = [...plan.matchAll(/^Inst (\S+)/gm)].map(([, missingName]) => missingName!)
  await runApt(workDir, [...options, 'download', ...(missing.length > 0 ? missing : [name])])
}

/** Where the libraries of unpacked packages are, for `LD_LIBRARY_PATH`. */
export async function libraryDirsOf(unpacked: string): Promise<string[]> {
  const lib = path.join(unpacked, 'usr', 'lib')
  const entries = await readdir(lib, { withFileTypes: true }).catch(() => [])
  const dirs = entries.filter((entry) => entry.isDirectory() && /-linux-gnu/.test(entry.name))
  return [lib, ...dirs.map((entry) => path.join(lib, entry.name))]
}

/** Whether something is there. */
export function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}
