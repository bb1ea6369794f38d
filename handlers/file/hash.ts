/**
 * `file.hash` computes the digest of a file of any size, in constant memory.
 *
 *     nats pub jobs.file.hash '{"path":"/data/backup.tar"}'
 *     nats pub jobs.file.hash \
 *       '{"path":"/data/backup.tar","algorithm":"sha512","output":"/data/backup.tar.sha512"}'
 *
 * The digest is in the job's log line. With `output` it is also written there, as one line that
 * `sha256sum --check` reads; the file appears whole or not at all. A file that changes while it is
 * read gives no digest: the attempt fails and is made again. A missing file is tried again too; a
 * folder, a pipe or a device is permanent.
 *
 * When you copy it: this is the pattern for long work in pieces. Put your own work where the hash is
 * updated, keep each piece within a few milliseconds, and look at `ctx.signal` between two. Size
 * `deadlineMs` for your largest file on your slowest disk.
 */
import { createHash } from 'node:crypto'
import { defineHandler } from 'millrace'
import * as v from 'valibot'
import { openRegularFile } from '../_regular-file.ts'
import { replaceFile } from '../_replace-file.ts'

const pieceBytes = 1024 * 1024

const schema = v.object({
  path: v.pipe(v.string(), v.minLength(1)),
  algorithm: v.optional(v.picklist(['sha256', 'sha512', 'sha1', 'md5']), 'sha256'),
  output: v.optional(v.pipe(v.string(), v.minLength(1))),
})

export default defineHandler({
  schema,
  // Reading waits, but hashing keeps a core busy for as long as the file lasts: on the shared io
  // threads it would slow down every neighbour.
  pool: 'cpu',
  deadlineMs: 600_000,
  retry: { maxAttempts: 3, backoff: { baseMs: 5_000 } },
  async run({ path, algorithm, output }, ctx) {
    const { digest, sizeBytes } = await digestFile(path, algorithm, ctx.signal)
    if (output !== undefined) await replaceFile(output, `${digest}  ${path}\n`, ctx.signal)
    ctx.logger.info({ path, algorithm, digest, sizeBytes }, 'file hashed')
    return { digest, sizeBytes }
  },
})

async function digestFile(path: string, algorithm: string, signal: AbortSignal) {
  const file = await openRegularFile(path)
  try {
    const before = await file.stat({ bigint: true })
    const hash = createHash(algorithm)
    // One buffer for the whole file. Each read returns to the event loop, where the abort arrives.
    const piece = Buffer.allocUnsafe(pieceBytes)
    let sizeBytes = 0
    for (;;) {
      signal.throwIfAborted()
      const { bytesRead } = await file.read(piece, 0, pieceBytes, null)
      if (bytesRead === 0) break
      hash.update(piece.subarray(0, bytesRead))
      sizeBytes += bytesRead
    }
    const after = await file.stat({ bigint: true })
    if (after.mtimeNs !== before.mtimeNs || after.size !== BigInt(sizeBytes)) {
      throw new Error(`${path} changed while it was read`)
    }
    return { digest: hash.digest('hex'), sizeBytes }
  } finally {
    await file.close()
  }
}
