import { randomUUID } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * Puts `content` at `path` in one step: a reader sees the old file or the whole new one, never a
 * part, and when anything fails the old file stays as it was.
 *
 * The content is written to a hidden file in the same folder (a rename is only atomic inside one
 * file system), flushed to the disk and renamed. The hidden name is new each time, because a job
 * may run twice at the same moment after a lost lease. A thread that is killed in between leaves the
 * hidden file behind: harmless, and safe to delete. The name of this file begins with `_`, so it is
 * not taken for a handler.
 */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const hidden = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`)
  const file = await open(hidden, 'wx')
  try {
    try {
      await file.writeFile(content, { signal })
      // The job is acknowledged, and so forgotten, soon after this: the bytes must outlive a power failure.
      await file.sync()
    } finally {
      await file.close()
    }
    signal.throwIfAborted()
    await rename(hidden, path)
  } catch (error) {
    await rm(hidden, { force: true })
    throw error
  }
}
