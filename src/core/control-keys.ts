/**
 * The keys of the control bucket. Handler names are legal keys as they are; anything else is encoded.
 */
export const controlPrefixes = {
  /** A handler that nobody pulls. */
  paused: 'paused',
  /** A job that must not run any more. */
  cancelled: 'cancelled',
  /** Which supervisor takes the jobs of a handler whose jobs have keys. */
  owner: 'owners',
  /** How much of its limits a handler has used up. */
  limit: 'limits',
} as const

export function pausedKey(handler: string): string {
  return `${controlPrefixes.paused}.${handler}`
}

export function cancelledKey(jobId: string): string {
  return `${controlPrefixes.cancelled}.${bucketKey(jobId)}`
}

export function ownerKey(handler: string): string {
  return `${controlPrefixes.owner}.${handler}`
}

export function limitKey(handler: string): string {
  return `${controlPrefixes.limit}.${handler}`
}

/**
 * Any text as one token of a bucket's key, and no two texts as the same: letters, digits, `-` and `_` stay,
 * every other byte of its UTF-8 becomes `=` and two hexadecimal digits. `JOBS:12` is `JOBS=3A12`.
 */
export function bucketKey(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]+/gu, (odd) =>
    [...new TextEncoder().encode(odd)]
      .map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  )
}

/**
 * What is kept under a job's id is kept for ids of at most so many bytes of UTF-8: every odd byte takes up three in
 * a key, and a server closes the connection of whoever sends it a subject of more than 4 KiB.
 */
export const longestKeyedIdBytes = 512

/** The text that `bucketKey` made this of. A key that somebody wrote by hand may be the text itself. */
export function readBucketKey(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('=', '%'))
  } catch {
    return key
  }
}

/** The handler that an entry `paused.<handler>` is about. */
export function pausedHandler(key: string): string {
  return key.slice(controlPrefixes.paused.length + 1)
}

/** The job that an entry `cancelled.<id>` is about: what its value says, or else its key. */
export function cancelledJobId(key: string, value: string): string {
  try {
    const { id } = JSON.parse(value) as { id?: unknown }
    if (typeof id === 'string' && id !== '') return id
  } catch {
    // Written by hand: the key says it as well.
  }
  return readBucketKey(key.slice(controlPrefixes.cancelled.length + 1))
}
