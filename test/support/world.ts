import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { NodeConnectionOptions } from '@nats-io/transport-node'
import { JetStreamView } from './jetstream-view.ts'
import { Ledger } from './ledger.ts'
import { startTestServer } from './nats-server.ts'
import { projectRoot, Supervisor } from './supervisor.ts'

type TestServer = Awaited<ReturnType<typeof startTestServer>>
type Env = Record<string, string>

/** Handlers whose payload decides what they do. */
export const soundHandlers = join(projectRoot, 'test/fixtures/handlers/sound')
/** One good handler among files that cannot be handlers. */
export const brokenHandlers = join(projectRoot, 'test/fixtures/handlers/broken')

export interface WorldOptions {
  /** Settings of every supervisor of this world, on top of `calmSettings`. */
  env?: Env
  /** Lines for the server's configuration file. */
  serverConfig?: string
  /** How the test's own client connects. */
  connect?: NodeConnectionOptions
}

/** Small numbers, so that a test of a retry does not wait for production's delays. */
const calmSettings: Env = {
  MILLRACE_HTTP_PORT: '0',
  MILLRACE_HANDLERS: soundHandlers,
  MILLRACE_THREADS: '2',
  MILLRACE_JOB_LOGS: 'all',
  MILLRACE_BACKOFF_BASE_MS: '20',
  MILLRACE_BACKOFF_MAX_MS: '40',
}

/**
 * A broker with its own store, a client, a ledger and a folder; supervisors are started on demand.
 * Everything ends with the test.
 */
export class World {
  readonly server: TestServer
  readonly broker: JetStreamView
  readonly ledger: Ledger
  readonly folder: string
  readonly #supervisors: Supervisor[] = []
  readonly #env: Env

  private constructor(folder: string, server: TestServer, broker: JetStreamView, env: Env) {
    this.#env = env
    this.folder = folder
    this.server = server
    this.broker = broker
    this.ledger = new Ledger(join(folder, 'ledger.jsonl'))
  }

  static async create(t: Pick<TestContext, 'after'>, options: WorldOptions = {}): Promise<World> {
    const { serverConfig } = options
    const server = await startTestServer(t, serverConfig === undefined ? {} : { config: serverConfig })
    const env = options.env ?? {}
    const broker = await JetStreamView.connect(server.url, env['MILLRACE_NAMESPACE'], options.connect)
    const world = new World(mkdtempSync(join(tmpdir(), 'millrace-e2e-')), server, broker, env)
    t.after(() => world.#end())
    return world
  }

  /** Starts a supervisor of this world without waiting for anything. */
  spawn(env: Env = {}, launcher: readonly string[] = []): Supervisor {
    const own = { NATS_URL: this.server.url, E2E_LEDGER: this.ledger.path }
    const supervisor = new Supervisor({ ...own, ...calmSettings, ...this.#env, ...env }, [], launcher)
    this.#supervisors.push(supervisor)
    return supervisor
  }

  /** Starts a supervisor of this world and waits until it is ready. */
  async supervise(env: Env = {}): Promise<Supervisor> {
    return this.spawn(env).ready()
  }

  /** A gate that jobs wait at until it is opened. */
  gate(name: string): Gate {
    return new Gate(join(this.folder, name))
  }

  async #end(): Promise<void> {
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.kill()))
    await this.broker.nc.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** A file that handlers wait for. */
export class Gate {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  get isOpen(): boolean {
    return existsSync(this.path)
  }

  open(): void {
    writeFileSync(this.path, '')
  }
}
