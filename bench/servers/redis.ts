import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startKeptProcess } from '#src/broker/kept-process.js'
import { BenchError } from '../bench-error.ts'
import { familyCpuMsOf } from '../measure/process-usage.ts'
import { fetchPackages, libraryDirsOf } from './debian-packages.ts'
import { environmentFor, findFreePort, type ServerProgram, type StartServer } from './server.ts'

const run = promisify(execFile)
const readyMs = 10_000

/** Looks for Redis on this machine, and fetches Debian's package else. */
export async function findRedis(cacheDir: string, narrate: (line: string) => void): Promise<ServerProgram> {
  return checkRedis('redis-server', []).catch(async () => {
    const unpacked = await fetchPackages('redis-server', cacheDir, narrate)
    return checkRedis(path.join(unpacked, 'usr', 'bin', 'redis-server'), await libraryDirsOf(unpacked))
  })
}

async function checkRedis(file: string, libraryDirs: readonly string[]): Promise<ServerProgram> {
  const program = { version: '', libraryDirs, paths: { server: file } }
  const { stdout } = await run(file, ['--version'], { env: environmentFor(program) })
  return { ...program, version: /v=(\S+)/.exec(stdout)?.[1] ?? stdout.trim() }
}

/**
 * How to start it. With `appendonly` it writes each change to a file and syncs that every second, so that
 * a power failure costs a second; without, nothing is written, and any end of the server costs everything.
 */
export function redisWith(program: ServerProgram, appendonly: boolean): StartServer {
  return async (options) => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'millrace-bench-redis-'))
    options.endings.add(() => rm(dir, { recursive: true, force: true }))
    const port = await findFreePort()
    const server = await startKeptProcess({
      binary: program.paths['server']!,
      // https://docs.bullmq.io/guide/going-to-production: persistence by AOF once a second, and no eviction.
      args: [
        ...['--bind', '127.0.0.1', '--port', String(port), '--dir', dir],
        ...['--save', '', '--appendonly', appendonly ? 'yes' : 'no', '--appendfsync', 'everysec'],
        ...['--maxmemory-policy', 'noeviction'],
      ],
      logFile: path.join(dir, 'redis.log'),
      environment: environmentFor(program),
      scratchDir: dir,
    })
    options.endings.add(() => server.stop())
    await untilListening(port)
    return { url: `redis://127.0.0.1:${port}`, dir, cpuMs: () => familyCpuMsOf(server.pid) }
  }
}

async function untilListening(port: number): Promise<void> {
  const giveUpAt = Date.now() + readyMs
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return
    } catch {
      if (Date.now() > giveUpAt) throw new BenchError(`redis-server does not listen after ${readyMs} ms`)
      await wait(20)
    } finally {
      socket.destroy()
    }
  }
}
