import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { PermanentFailure } from 'millrace'

/**
 * Opens `path` for reading if it is an ordinary file, else fails for good.
 *
 * Opening a named pipe blocks one of libuv's few threads until somebody writes to it, and no signal
 * and no kill frees it; so it is opened without blocking, and looked at before anything is read. An
 * error of the file system (missing, not permitted) is passed on as it is, to be tried again. The
 * caller closes the file.
 *
 * @throws {PermanentFailure} when `path` is a folder, a pipe or a device.
 */
export async function openRegularFile(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    const found = await file.stat()
    if (!found.isFile()) throw new PermanentFailure(`${path} is not a regular file`)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}
