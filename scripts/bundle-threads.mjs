import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './console.mjs'

const threads = path.join(root, 'dist', 'threads')
const entries = ['thread-entry', 'catalog-entry']

/**
 * Makes one file of each program that runs on a thread: to load its thirty modules one by one is most of what a new
 * thread costs beyond an empty one, and each kill needs a new thread. They stay in the folder of the modules, because
 * both look for other files beside themselves.
 */
export async function bundleThreads() {
  // Not at the top: whoever imports this may be about to install it.
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: entries.map((name) => path.join(threads, `${name}.js`)),
    outdir: threads,
    entryNames: '[name].bundle',
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
    write: false,
  })
  for (const file of outputFiles) replace(file.path, file.contents)
}

/** A thread that starts without one says so; with an old one it would not understand its supervisor. */
export function removeBundles() {
  for (const name of entries) rmSync(path.join(threads, `${name}.bundle.js`), { force: true })
}

/** A supervisor that runs from this folder may start a thread at any moment: it finds the old file or the new one. */
function replace(file, contents) {
  if (existsSync(file) && readFileSync(file).equals(contents)) return
  writeFileSync(`${file}.new`, contents)
  renameSync(`${file}.new`, file)
}
