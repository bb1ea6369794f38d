import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

/** Whether the file names the package `millrace` and Node would not find it from there. */
export function needsOwnName(url: string): boolean {
  if (resolves(url)) return false
  try {
    return readFileSync(new URL(url), 'utf8').includes('millrace')
  } catch {
    return false
  }
}

function resolves(url: string): boolean {
  try {
    createRequire(url).resolve('millrace/package.json')
    return true
  } catch {
    return false
  }
}
