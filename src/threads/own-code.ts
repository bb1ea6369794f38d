import { fileURLToPath } from 'node:url'

/** Through these a handler is called; the compiled files, and where their source maps lead. */
const places = ['core', 'threads', 'tracing']
  .flatMap((folder) => [`../${folder}/`, `../../src/${folder}/`])
  .map((place) => new URL(place, import.meta.url))
  .flatMap((url) => [url.href, fileURLToPath(url)])

/**
 * The part of a stack that is the handler's: without the frames of our errors on top, and without those below through
 * which it was called, ours and whatever is in between. `fileOf` answers the text in which a frame has its file.
 */
export function handlersPart<Frame>(
  frames: readonly Frame[],
  fileOf: (frame: Frame) => string | null,
): readonly Frame[] {
  const isOurs = (frame: Frame) => places.some((place) => fileOf(frame)?.includes(place))
  const start = frames.findIndex((frame) => !isOurs(frame))
  if (start < 0) return []
  const end = frames.findIndex((frame, at) => at > start && isOurs(frame))
  const part = frames.slice(start, end < 0 ? frames.length : end)
  const last = part.findLastIndex((frame) => !/(?:^|[( ])node:/.test(fileOf(frame) ?? ''))
  return part.slice(0, last + 1)
}
