import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleThreads, removeBundles } from './bundle-threads.mjs'
import { narrate, root, runCommand, runMain, ScriptError } from './console.mjs'
import { copyAssets, forgetIncompleteBuilds, listProjects, pruneOutputs } from './outputs.mjs'

/**
 * Compiles everything that changed, and makes the output folders hold exactly what the sources
 * say: nothing stale, nothing missing, assets included.
 */
export async function build() {
  const projects = listProjects()
  for (const dir of forgetIncompleteBuilds(projects))
    narrate(`outputs of ${dir} are missing, compiling it anew`)
  narrate('compiling what changed (tsc -b)')
  const code = await runCommand(path.join(root, 'node_modules', '.bin', 'tsc'), ['-b'])
  if (code !== 0) {
    // Some of what they are made of may have been compiled anew.
    removeBundles()
    throw new ScriptError('the sources do not compile, see above')
  }
  for (const file of pruneOutputs(projects)) narrate(`removed ${file}, whose source is gone`)
  const copied = copyAssets(projects)
  if (copied > 0) narrate(`copied ${copied} assets`)
  await bundleThreads()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runMain(build)
