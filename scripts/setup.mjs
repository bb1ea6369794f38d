import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { narrate, root, runCommand, runMain, ScriptError } from './console.mjs'

const minimumNode = [20, 19]

/**
 * Makes a fresh clone ready: packages, compiled files, a nats-server. Skips what is done already,
 * so that every other script may start with it. Answers the server to use.
 */
export async function setUp() {
  checkNode()
  await installPackages()
  await build()
  // Imported late: it exists only now.
  const { ensureServer } = await import('../dist/broker/obtain-server.js')
  const server = await ensureServer({ narrate })
  narrate(`using nats-server ${server.version} from ${server.source}: ${server.path}`)
  return server
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > minimumNode[0] || (major === minimumNode[0] && minor >= minimumNode[1])) return
  throw new ScriptError(
    `Millrace needs Node ${minimumNode.join('.')} or newer, this is ${process.versions.node}.\n` +
      'Install a newer one, for example from https://nodejs.org/en/download',
  )
}

async function installPackages() {
  if (hasLockedPackages()) return
  narrate('installing the packages of package-lock.json (npm ci)')
  const code = await runCommand('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
  if (code === 0) return
  throw new ScriptError(
    'npm ci failed, see above.\n' +
      'Without a network: the packages are missing, and they come from the npm registry. Run npm ci once where\n' +
      'the registry (or a mirror of it, npm config set registry) can be reached; later runs need no network.',
  )
}

/**
 * Whether `node_modules` holds what the lock file asks for. Versions are compared, not times: a
 * checkout touches the lock file without changing it. Optional packages are for other platforms.
 */
function hasLockedPackages() {
  const installedFile = path.join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installedFile)) return false
  const installed = JSON.parse(readFileSync(installedFile, 'utf8')).packages
  const wanted = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages
  return Object.entries(wanted).every(
    ([place, { version, optional, link }]) =>
      !place.startsWith('node_modules/') || optional || link || installed[place]?.version === version,
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runMain(setUp)
