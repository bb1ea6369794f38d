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
