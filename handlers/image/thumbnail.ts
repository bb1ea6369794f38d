/**
 * `image.thumbnail` makes a small picture of a large one. Which format it writes follows from the
 * ending of `output`: .avif, .jpg, .jpeg, .png or .webp.
 *
 *     nats pub jobs.image.thumbnail \
 *       '{"source":"/data/photos/cat.jpg","output":"/data/thumbnails/cat.webp","width":320}'
 *
 * The picture keeps its proportions, fits inside `width` x `height` (`height` is as large as `width`
 * when it is left out), is turned upright, is never enlarged, and loses its metadata (place, camera).
 * The same job run twice leaves the same file; readers of `output` never see half a picture. A source
 * that is not a picture, is damaged or is too large is permanent: the job becomes a dead letter at
 * once. A source that is missing is tried again, since it may still be on its way.
 *
 * When you copy it: change the sizes and formats, and if people outside your team publish these
 * jobs, accept file names only and join them to a folder of yours, or they can read and overwrite
 * whatever this process can.
 */
import { extname } from 'node:path'
import { defineHandler, PermanentFailure } from 'millrace'
// About 70 ms in each thread that starts. Imported here rather than on first use all the same: if the
// machine lacks sharp's binary, the handler cannot be loaded and its jobs wait instead of failing.
import sharp from 'sharp'
import * as v from 'valibot'
import { openRegularFile } from '../_regular-file.ts'
import { replaceFile } from '../_replace-file.ts'

const sourceLimitBytes = 64 * 1024 * 1024
/** A few kilobytes can decode to gigabytes; this is about 400 MB decoded, and more than cameras make. */
const pixelLimit = 100_000_000
/** libvips stops itself after this long. Whole seconds, and less than the deadline: see below. */
const nativeLimitSeconds = 15

const formats = { '.avif': 'avif', '.jpg': 'jpeg', '.jpeg': 'jpeg', '.png': 'png', '.webp': 'webp' } as const
type Format = (typeof formats)[keyof typeof formats]

const edge = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(4_096))
const schema = v.object({
  source: v.pipe(v.string(), v.minLength(1)),
  output: v.pipe(
    v.string(),
    v.check((path) => formatOf(path) !== undefined, 'must end in .avif, .jpg, .jpeg, .png or .webp'),
  ),
  width: edge,
  height: v.optional(edge),
})

// Each source is seen once: sharp's cache of decoded files would only hold memory.
sharp.cache(false)
// One core per picture; the pool's threads are what runs in parallel.
sharp.concurrency(1)

export default defineHandler({
  schema,
  pool: 'cpu',
  // sharp does its work in native code on libuv's pool, whose few threads (UV_THREADPOOL_SIZE, 4 by
  // default) the whole process shares. Two at once leave room for everybody's files and DNS.
  concurrency: 2,
  // Killing a JavaScript thread does not stop native code: the thread is gone only when the picture
  // is done. So the deadline alone would not bound it; nativeLimitSeconds does, and comes first.
  deadlineMs: 20_000,
  graceMs: 1_000,
  retry: { maxAttempts: 4, backoff: { baseMs: 2_000, maxMs: 60_000 } },
  async run({ source, output, width, height = width }, ctx) {
    // Read here and not by sharp, so that an error of the file system (tried again) is never taken
    // for an error of the picture (permanent).
    const bytes = await readSource(source, ctx.signal)
    const picture = await shrink(bytes, width, height, formatOf(output)!)
    // Nothing is written for an attempt that is over: its next one may have begun elsewhere.
    ctx.signal.throwIfAborted()
    await replaceFile(output, picture.data, ctx.signal)
    const { width: madeWidth, height: madeHeight, size: sizeBytes } = picture.info
    ctx.logger.info({ output, width: madeWidth, height: madeHeight, sizeBytes }, 'thumbnail written')
  },
})

function formatOf(path: string): Format | undefined {
  const ending = extname(path).toLowerCase()
  return Object.hasOwn(formats, ending) ? formats[ending as keyof typeof formats] : undefined
}

async function readSource(path: string, signal: AbortSignal): Promise<Buffer> {
  const file = await openRegularFile(path)
  try {
    const { size } = await file.stat()
    if (size > sourceLimitBytes) {
      throw new PermanentFailure(`source has ${size} bytes, more than the limit of ${sourceLimitBytes}`)
    }
    return await file.readFile({ signal })
  } finally {
    await file.close()
  }
}

async function shrink(bytes: Buffer, width: number, height: number, format: Format) {
  try {
    return await sharp(bytes, { failOn: 'error', limitInputPixels: pixelLimit })
      .autoOrient()
      .resize({ width, height, fit: 'inside', withoutEnlargement: true })
      .toFormat(format)
      .timeout({ seconds: nativeLimitSeconds })
      .toBuffer({ resolveWithObject: true })
  } catch (error) {
    // A busy machine is not the picture's fault.
    if (error instanceof Error && error.message.startsWith('timeout')) {
      throw new Error(`the picture took longer than ${nativeLimitSeconds} s`, { cause: error })
    }
    throw new PermanentFailure('source cannot be read as a picture', { cause: error })
  }
}
