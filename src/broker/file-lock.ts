import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'

/** After this long a lock counts as left behind, even if some process has its holder's id by now. */
const staleAfterMs = 10 * 60_000

const retryMs = 100

/**
 * Runs `work` while holding `file`, created exclusively with this process's id inside. Waits while
 * another living process holds it. A lock whose holder is gone is broken; two waiters that break it
 * in the same instant may both go on, so `work` must be safe to run twice at once and uses the lock
 * only to save effort.
 */
export async function withFileLock<T>(
  file: string,
  narrate: (line: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  let told = false
  while (!(await tryCreate(file))) {
    if (await isStale(file)) {
      await rm(file, { force: true })
      continue
    }
    if (!told) narrate(`waiting for another process, which holds ${file}`)
    told = true
    await wait(retryMs)
  }
  try {
    return await work()
  } finally {
    await rm(file, { force: true })
  }
}

async function tryCreate(file: string): Promise<boolean> {
  try {
    await writeFile(file, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function isStale(file: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(file)
    const ageMs = Date.now() - mtimeMs
    if (ageMs > staleAfterMs) return true
    const holder = Number(await readFile(file, 'utf8'))
    // Between its creation and its first byte the lock names nobody: its holder is alive.
    if (holder === 0) return ageMs > 5_000
    return !isAlive(holder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** Whether there is a process of this id, ours or not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
