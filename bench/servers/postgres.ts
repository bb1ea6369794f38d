import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { requireApt, runApt } from '#src/broker/apt-source.js'
import { type KeptProcessOptions, startKeptProcess } from '#src/broker/kept-process.js'
import { BenchError } from '../bench-error.ts'
import { familyCpuMsOf } from '../measure/process-usage.ts'
import { fetchPackages, libraryDirsOf } from './debian-packages.ts'
import { environmentFor, findFreePort, type ServerProgram, type StartServer } from './server.ts'

const run = promisify(execFile)
const readyMs = 20_000
/** PostgreSQL refuses to run as root; `nobody` and `nogroup` have this id on Debian. */
const nobody = 65534

/** Looks for PostgreSQL on this machine, and fetches the distribution's package else. */
export async function findPostgres(
  cacheDir: string,
  narrate: (line: string) => void,
): Promise<ServerProgram> {
  const installed = await findVersions('/usr/lib/postgresql')
  if (installed !== undefined) return checkPostgres(installed, [])
  await mkdir(cacheDir, { recursive: true })
  await requireApt(cacheDir)
  const plan = await runApt(cacheDir, ['--simulate', '--no-install-recommends', 'install', 'postgresql'])
  const name = /^Inst (postgresql-\d+) /m.exec(plan)?.[1]
  if (name === undefined)
    throw new Error('the package lists have no PostgreSQL; apt-get update reads them anew')
  const unpacked = await fetchPackages(name, cacheDir, narrate)
  const fetched = await findVersions(path.join(unpacked, 'usr/lib/postgresql'))
  if (fetched === undefined) throw new Error(`the package ${name} holds no server`)
  return checkPostgres(fetched, await libraryDirsOf(unpacked))
}

/** The folder of the newest version's programs. */
async function findVersions(dir: string): Promise<string | undefined> {
  const versions = (await readdir(dir).catch(() => [])).filter((name) => /^\d+$/.test(name))
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0]
  return newest === undefined ? undefined : path.join(dir, newest, 'bin')
}

async function checkPostgres(binDir: string, libraryDirs: readonly string[]): Promise<ServerProgram> {
  const paths = { initdb: path.join(binDir, 'initdb'), postgres: path.join(binDir, 'postgres') }
  const program = { version: '', libraryDirs, paths }
  // As the one who will run it: a folder below /root is closed to `nobody`.
  const [file, ...args] = asOrdinaryUser([paths.postgres, '--version'])
  const { stdout } = await run(file!, args, { env: environmentFor(program) }).catch((error: Error) => {
    throw new Error(`${paths.postgres} cannot be run: ${error.message.trim()}`, { cause: error })
  })
  return { ...program, version: /\d[\d.]*/.exec(stdout)?.[0] ?? stdout.trim() }
}

/**
 * How to start it. `synchronousCommit` false lets a power failure cost the last fraction of a second;
 * with true, PostgreSQL's default, a commit that was answered is on disk.
 */
export function postgresWith(program: ServerProgram, synchronousCommit: boolean): StartServer {
  return async (options) => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'millrace-bench-postgres-'))
    options.endings.add(() => rm(dir, { recursive: true, force: true }))
    await chmod(dir, 0o777)
    const data = path.join(dir, 'data')
    await mkdir(data, { mode: 0o700 })
    if (isRoot()) await chown(data, nobody, nobody)
    const environment = environmentFor(program)
    const [file, ...args] = asOrdinaryUser([
      ...[program.paths['initdb']!, '-D', data, '-U', 'bench', '--auth=trust', '--no-locale', '-E', 'UTF8'],
      '--no-sync',
    ])
    await makeCluster({
      binary: file!,
      args,
      environment,
      scratchDir: dir,
      logFile: path.join(dir, 'initdb.log'),
    })
    const port = await findFreePort()
    const settings = {
      listen_addresses: '127.0.0.1',
      port: String(port),
      unix_socket_directories: '',
      synchronous_commit: synchronousCommit ? 'on' : 'off',
      // Room for the load, so that no checkpoint falls into a run by chance.
      shared_buffers: '512MB',
      max_wal_size: '8GB',
      checkpoint_timeout: '30min',
      log_timezone: 'GMT',
      timezone: 'GMT',
    }
    const [binary, ...serverArgs] = asOrdinaryUser([
      ...[program.paths['postgres']!, '-D', data],
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ])
    const logFile = path.join(dir, 'postgres.log')
    const server = await startKeptProcess({
      binary: binary!,
      args: serverArgs,
      logFile,
      environment,
      scratchDir: dir,
    })
    // SIGTERM waits for clients that have gone away by themselves; SIGINT ends them.
    options.endings.add(async () => {
      server.kill('SIGINT')
      await server.stop()
    })
    await untilReady(logFile, () => server.isAlive())
    const url = `postgres://bench@127.0.0.1:${port}/postgres`
    return { url, dir, cpuMs: () => familyCpuMsOf(server.pid) }
  }
}

/** Below a keeper, so that the folder goes even when this process is killed meanwhile. */
async function makeCluster(initdb: KeptProcessOptions & { logFile: string }): Promise<void> {
  const { ended } = await startKeptProcess(initdb)
  await ended
  const log = await readFile(initdb.logFile, 'utf8')
  if (!log.includes('Success.'))
    throw new BenchError(`initdb did not succeed; the end of its output:\n${log.slice(-1_000)}`)
}

/** `setpriv` becomes the program, so that its process id is the server's. */
function asOrdinaryUser(command: readonly string[]): string[] {
  if (!isRoot()) return [...command]
  return ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--', ...command]
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

async function untilReady(logFile: string, isAlive: () => boolean): Promise<void> {
  const giveUpAt = Date.now() + readyMs
  for (;;) {
    const log = await readFile(logFile, 'utf8').catch(() => '')
    if (log.includes('ready to accept connections')) return
    if (!isAlive() || Date.now() > giveUpAt)
      throw new BenchError(`PostgreSQL is not ready; the end of its log:\n${log.slice(-1_000)}`)
    await wait(20)
  }
}
