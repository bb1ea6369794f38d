import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { MillraceError } from '../core/errors.ts'
import { usableVersion } from './find-server.ts'
import { type KeptProcess, startKeptProcess } from './kept-process.ts'
import { ensureServer } from './obtain-server.ts'

/** How to run a nats-server of our own. */
export type LocalBrokerOptions = {
  /** A nats-server to run. @default the one that `ensureServer` finds or obtains */
  binary?: string
  /** Keeps streams, log and configuration, and is never removed. @default a temporary folder */
  storeDir?: string
  /** Text of a configuration file, for accounts, TLS or limits. Address, port and store stay ours. */
  config?: string
  /**
   * Asks for JetStream in the configuration file instead of on the command line: a server that reloads its file ends
   * what is not asked for there. @default false
   */
  reloadable?: boolean
  /** @default -1, any free port */
  port?: number
  /** Whether to serve the server's own monitoring pages, on any free port. @default false */
  monitoring?: boolean
  /** How long the server may take until it accepts connections; recovering a large store takes time. @default 20000 */
  readyMs?: number
  narrate?: (line: string) => void
}

/** A nats-server with JetStream on 127.0.0.1 that ends with this process, however that dies. */
export type LocalBroker = {
  readonly url: string
  readonly monitoringUrl: string | undefined
  /** The process id of the server itself; another one after a restart. */
  readonly pid: number
  readonly version: string
  readonly storeDir: string
  readonly logFile: string
  isRunning(): boolean
  /**
   * Sends a signal to the server: SIGKILL for a crash, SIGSTOP and SIGCONT for one that hangs.
   * Answers false when the server is gone already.
   */
  kill(signal: NodeJS.Signals): boolean
  /** Waits until the server is gone, for example after `kill('SIGKILL')`; the store stays. */
  ended(): Promise<void>
  /** Ends the server if it still runs and starts it again on the same port with the same store. */
  restart(): Promise<void>
  /** Gives a `reloadable` server another configuration, which it reads now, or at its next start. */
  reload(config: string): Promise<void>
  /** Ends the server and removes a temporary store. Calling it again does nothing. */
  stop(): Promise<void>
}

type Run = { process: KeptProcess; url: string; monitoringUrl: string | undefined }

/**
 * Starts a nats-server and waits until it accepts connections. Where it listens is read from the
 * file that the server writes for that purpose, so no port is guessed and no log is scraped.
 *
 * @throws {MillraceError} `server_not_found` when there is no server to run; `broker_unreachable`,
 *   with the end of the server's log, when it stops before it is ready (a configuration it refuses,
 *   a port in use) or takes longer than `readyMs`.
 */
export async function startLocalBroker(options: LocalBrokerOptions = {}): Promise<LocalBroker> {
  const narrate = options.narrate ?? (() => {})
  const binary = options.binary ?? (await ensureServer({ narrate })).path
  const version = await usableVersion(binary)
  const isTemporary = options.storeDir === undefined
  const dir = path.resolve(options.storeDir ?? (await mkdtemp(path.join(os.tmpdir(), 'millrace-broker-'))))
  await mkdir(dir, { recursive: true })
  const discard = async () => {
    if (isTemporary) await rm(dir, { recursive: true, force: true })
  }
  let { config } = options
  const launch = (port: number) =>
    launchServer({ ...options, ...(config === undefined ? {} : { config }), binary, dir, port, isTemporary })

  let current = await launch(options.port ?? -1).catch(async (error) => {
    await discard()
    throw error
  })
  narrate(`nats-server ${version} listens on ${current.url}`)
  let stopping: Promise<void> | undefined
  return {
    get url() {
      return current.url
    },
    get monitoringUrl() {
      return current.monitoringUrl
    },
    get pid() {
      return current.process.pid
    },
    version,
    storeDir: dir,
    logFile: logFileIn(dir),
    isRunning: () => current.process.isAlive(),
    kill: (signal) => current.process.kill(signal),
    ended: () => current.process.ended,
    async restart() {
      await current.process.stop()
      current = await launch(Number(new URL(current.url).port))
    },
    async reload(text) {
      config = text
      await writeConfig(dir, text, true)
      current.process.kill('SIGHUP')
    },
    stop() {
      stopping ??= current.process.stop().then(discard)
      return stopping
    },
  }
}

type LaunchOptions = LocalBrokerOptions & { binary: string; dir: string; port: number; isTemporary: boolean }

async function launchServer(options: LaunchOptions): Promise<Run> {
  const { dir } = options
  await removePortsFiles(dir)
  const { config, reloadable = false } = options
  const args = ['-a', '127.0.0.1', '-p', String(options.port), '--ports_file_dir', dir]
  if (!reloadable) args.push('-js', '-sd', dir)
  if (options.monitoring) args.push('-m', '-1')
  if (config !== undefined || reloadable) {
    args.push('-c', await writeConfig(dir, config ?? '', reloadable))
  }
  const server = await startKeptProcess({
    binary: options.binary,
    args,
    logFile: logFileIn(dir),
    scratchDir: options.isTemporary ? dir : undefined,
  }).catch((error) => fail(dir, (error as Error).message))
  const portsFile = path.join(dir, `${path.basename(options.binary)}_${server.pid}.ports`)
  const ports = await readPorts(portsFile, server, options.readyMs ?? 20_000)
  if (ports === undefined) {
    const what = server.isAlive() ? 'nats-server was not ready in time' : 'nats-server stopped at once'
    server.kill('SIGKILL')
    await server.stop()
    return fail(dir, what)
  }
  return { process: server, url: ports.nats[0]!, monitoringUrl: ports.monitoring?.[0] }
}

async function writeConfig(dir: string, text: string, asksForStore: boolean): Promise<string> {
  const file = path.join(dir, 'nats-server.conf')
  const store = asksForStore ? `jetstream { store_dir: ${JSON.stringify(dir)} }\n` : ''
  await writeFile(file, store + text)
  return file
}

/** A server that was killed leaves its file behind, and process ids are used again. */
async function removePortsFiles(dir: string): Promise<void> {
  const left = (await readdir(dir)).filter((name) => name.endsWith('.ports'))
  await Promise.all(left.map((name) => rm(path.join(dir, name), { force: true })))
}

type Ports = { nats: string[]; monitoring?: string[] }

/** What the server says about its addresses once it accepts connections; undefined when it never does. */
async function readPorts(file: string, server: KeptProcess, readyMs: number): Promise<Ports | undefined> {
  const giveUpAt = Date.now() + readyMs
  while (server.isAlive() && Date.now() < giveUpAt) {
    try {
      return JSON.parse(await readFile(file, 'utf8')) as Ports
    } catch {
      // Not there yet, or seen between its creation and its content.
      await wait(10)
    }
  }
  return undefined
}

async function fail(dir: string, what: string): Promise<never> {
  const log = await readFile(logFileIn(dir), 'utf8').catch(() => '')
  const tail = log.trimEnd().split('\n').slice(-15).join('\n')
  throw new MillraceError('broker_unreachable', `${what}; the end of its log:\n${tail || '(it is empty)'}`)
}

function logFileIn(dir: string): string {
  return path.join(dir, 'nats-server.log')
}
