import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { peersDir } from '../contestants/peer.ts'
import { servers } from '../contestants/peers.ts'
import { exists } from './debian-packages.ts'
import { findPostgres } from './postgres.ts'
import { findRedis } from './redis.ts'

const run = promisify(execFile)
const installMs = 300_000

/** What two of the systems ask for; the package of the newest Node that ships with the peers. */
const neededNode = 22.18

/** What is there for other job systems to take part. */
export type PeersAtHand = {
  /** A Node that is new enough for all of them. */
  readonly node: string
  /** Versions, by name. */
  readonly versions: Readonly<Record<string, string>>
  /** Who has to be left out, and why. */
  readonly leftOut: readonly string[]
}

/**
 * Gets what other job systems need: their packages by `npm ci` from a lock file of their own, their servers
 * from this machine or the distribution's packages. Whatever is missing leaves somebody out, and is said.
 *
 * @throws when not even the packages can be had.
 */
export async function preparePeers(
  cacheDir: string,
  node: string,
  narrate: (line: string) => void,
): Promise<PeersAtHand> {
  await installPackages(narrate)
  const leftOut: string[] = []
  const find = async (name: keyof typeof servers, who: string, look: typeof findRedis) => {
    try {
      servers[name] = await look(cacheDir, narrate)
    } catch (error) {
      leftOut.push(`${who}: ${(error as Error).message.trim()}`)
      narrate(`without ${leftOut.at(-1)}`)
    }
  }
  await find('redis', 'BullMQ', findRedis)
  await find('postgres', 'graphile-worker and pg-boss', findPostgres)
  return { node: await chooseNode(node), versions: await readVersions(), leftOut }
}

async function installPackages(narrate: (line: string) => void): Promise<void> {
  const mark = path.join(peersDir, 'node_modules', '.package-lock.json')
  if ((await exists(mark)) && (await isInstalled(mark))) return
  narrate('installing the packages of bench/peers/package-lock.json (npm ci)')
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: peersDir,
    timeout: installMs,
  })
}

/** Whether what is installed are the versions of the lock file. Optional packages are for other machines. */
async function isInstalled(mark: string): Promise<boolean> {
  type Lock = { packages: Record<string, { version?: string; optional?: boolean }> }
  const installed = JSON.parse(await readFile(mark, 'utf8')) as Lock
  const wanted = JSON.parse(await readFile(path.join(peersDir, 'package-lock.json'), 'utf8')) as Lock
  return Object.entries(wanted.packages).every(
    ([place, { version, optional }]) =>
      place === '' || optional || installed.packages[place]?.version === version,
  )
}

/** The one that was asked for, when it is new enough, else the one that npm brought. */
async function chooseNode(node: string): Promise<string> {
  const { stdout } = await run(node, ['--version'])
  if (Number.parseFloat(stdout.slice(1)) >= neededNode) return node
  const brought = path.join(peersDir, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')
  // Without it those who need it fail, and say so.
  return (await exists(brought)) ? brought : node
}

async function readVersions(): Promise<Record<string, string>> {
  const manifest = JSON.parse(await readFile(path.join(peersDir, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const { bullmq, 'graphile-worker': graphileWorker, 'pg-boss': pgBoss } = manifest.dependencies
  return {
    BullMQ: `${bullmq} with ioredis ${manifest.dependencies['ioredis']}`,
    'graphile-worker': graphileWorker!,
    'pg-boss': pgBoss!,
    ...(servers.redis ? { Redis: servers.redis.version } : {}),
    ...(servers.postgres ? { PostgreSQL: servers.postgres.version } : {}),
  }
}
