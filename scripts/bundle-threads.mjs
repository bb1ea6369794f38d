import path from 'node:path'
import { build } from 'esbuild'
import { root } from './console.mjs'

const threads = path.join(root, 'dist', 'threads')

/**
 * Makes one file of each program that runs on a thread: to load its thirty modules one by one is most of what a new
 * thread costs beyond an empty one, and each kill needs a new thread. They stay in the folder of the modules, because
 * both look for other files beside themselves.
 */
export async function bundleThreads() {
  await build({
    entryPoints: ['thread-entry', 'catalog-entry'].map((name) => path.join(threads, `${name}.js`)),
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
  })
}
