/** The version of a NATS server. */
export interface ServerVersion {
  readonly major: number
  readonly minor: number
  readonly patch: number
}

const oldestTested: ServerVersion = { major: 2, minor: 9, patch: 10 }

/** What a server says of itself; zeros when it says nothing of that form. */
export function parseServerVersion(text: string): ServerVersion {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(text) ?? []
  return { major: Number(major ?? 0), minor: Number(minor ?? 0), patch: Number(patch ?? 0) }
}

/** Whether it is older than the oldest that Millrace is tested with. */
export function isUntested(version: ServerVersion): boolean {
  const { major, minor, patch } = oldestTested
  return (version.major - major || version.minor - minor || version.patch - patch) < 0
}
