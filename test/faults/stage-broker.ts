import { mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { isOlder } from '#src/broker/find-server.js'
import { type LocalBroker, startLocalBroker } from '#src/broker/local-broker.js'
import { Cluster } from '../support/cluster.ts'
import { serverBinary, serverVersion } from '../support/nats-server.ts'

/** What a stage needs of a broker, be it one server or a cluster. */
export interface StageBroker {
  /** Where the publisher and, without links, the supervisors connect. */
  readonly url: string
  /** Whether a link can stand between it and a supervisor. */
  readonly linkable: boolean
  readonly tester: { user?: string; pass?: string }
  readonly supervisorEnv: Record<string, string>
  /** When it cut somebody off who did not read; dates as milliseconds. */
  cuts(): number[]
  /** When a cluster gave jobs, or who hands them out, another leader, in order; dates as milliseconds. */
  elections(): number[]
  /** Puts right what only an operator does who does not want to wait for minutes; undefined where nobody has to. */
  readonly relieve: (() => Promise<undefined>) | undefined
  /** Puts right whatever a fault has left behind. */
  heal(): Promise<void>
  stop(): Promise<void>
}

const tester = { user: 'tester', pass: 'tester' }
const supervisorEnv = { NATS_USER: 'supervisor', NATS_PASSWORD: 'supervisor' }

/** One server with accounts, whose configuration can be changed while it runs. */
export class SingleBroker implements StageBroker {
  readonly linkable = true
  readonly tester = tester
  readonly supervisorEnv = supervisorEnv
  readonly relieve = undefined
  readonly server: LocalBroker
  readonly #ownsStore: boolean
  #config = configOf({})

  private constructor(server: LocalBroker, ownsStore: boolean) {
    this.server = server
    this.#ownsStore = ownsStore
  }

  /** @param store - where it keeps its streams, emptied in the end; without it a folder of its own, which goes. */
  static async start(store?: string): Promise<SingleBroker> {
    const config = configOf({})
    const storeDir = store ?? mkdtempSync(path.join(tmpdir(), 'millrace-stage-'))
    const server = await startLocalBroker({ binary: serverBinary, config, reloadable: true, storeDir })
    return new SingleBroker(server, store === undefined)
  }

  get url(): string {
    return this.server.url
  }

  /** Supervisors may not publish to these subjects any more; an empty list permits everything again. */
  async deny(subjects: readonly string[]): Promise<void> {
    await this.#configure({ denied: subjects })
  }

  /** The password of the supervisors is another one, or theirs again. */
  async revoke(revoked: boolean): Promise<void> {
    await this.#configure(revoked ? { password: 'another' } : {})
  }

  async #configure(what: Parameters<typeof configOf>[0]): Promise<void> {
    this.#config = configOf(what)
    await this.server.reload(this.#config)
  }

  async kill(): Promise<void> {
    this.server.kill('SIGKILL')
    await this.server.ended()
  }

  cuts(): number[] {
    const log = readFileSync(this.server.logFile, 'utf8')
    const told = log.matchAll(/^\[\d+\] (\S+ \S+) .*Slow Consumer Detected/gm)
    return Array.from(told, ([, date]) => Date.parse(date!))
  }

  elections(): number[] {
    return []
  }

  async heal(): Promise<void> {
    this.server.kill('SIGCONT')
    if (!this.server.isRunning()) await this.server.restart()
    // A server may end connections when it reads its configuration again, which is a fault and heals nothing.
    if (this.#config !== configOf({})) await this.#configure({})
  }

  async stop(): Promise<void> {
    await this.server.stop()
    for (const name of readdirSync(this.server.storeDir)) {
      rmSync(path.join(this.server.storeDir, name), { recursive: true, force: true })
    }
    if (this.#ownsStore) rmdirSync(this.server.storeDir)
  }
}

/** Three servers with one JetStream, and everything of Millrace on each of them. */
export class ClusterBroker implements StageBroker {
  readonly linkable = false
  readonly tester = {}
  /** On two processors a cluster that has just lost a server hands deliveries over seconds late. */
  readonly supervisorEnv = { MILLRACE_REPLICAS: '3', MILLRACE_ACK_WAIT_MS: '5000' }
  /** Before 2.9.15 a consumer may stay without a leader, see `whyNotPaused`; removed, it is made anew. */
  readonly relieve = isOlder(serverVersion, '2.10.0') ? () => this.cluster.removeLeaderless() : undefined
  readonly cluster: Cluster

  private constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  static async start(): Promise<ClusterBroker> {
    return new ClusterBroker(await Cluster.start())
  }

  get url(): string {
    return this.cluster.url
  }

  /** Its write deadline is longer than anything that is done to it. */
  cuts(): number[] {
    return []
  }

  elections(): number[] {
    const logs = this.cluster.nodes.map(({ broker }) => readFileSync(broker.logFile, 'utf8'))
    return electionsIn(logs)
  }

  async heal(): Promise<void> {
    this.cluster.heal()
    for (const { name, broker } of this.cluster.nodes) {
      this.cluster.resume(name)
      if (!broker.isRunning()) await this.cluster.restart(name)
    }
  }

  stop(): Promise<void> {
    return this.cluster.stop()
  }
}

/** By what its servers logged. The first leader of a stream or consumer takes nothing over from anybody. */
function electionsIn(logs: readonly string[]): number[] {
  const all = logs.flatMap((log) =>
    Array.from(
      log.matchAll(/^\[\d+\] (\S+ \S+) .*new (?:stream|consumer) leader for '\$G > (JOBS.*)'/gm),
      ([, date, what]) => ({ date: Date.parse(date!), what: what! }),
    ),
  )
  const led = new Set<string>()
  return all
    .sort((one, other) => one.date - other.date)
    .filter(({ what }) => led.has(what) || !led.add(what))
    .map(({ date }) => date)
}

interface Changes {
  readonly password?: string
  readonly denied?: readonly string[]
}

function configOf({ password = 'supervisor', denied = [] }: Changes): string {
  const publish = denied.length === 0 ? '' : `, permissions { publish { deny: ${JSON.stringify(denied)} } }`
  // Soon enough for a test to see a slow consumer cut off.
  return `write_deadline: "1500ms"
authorization { users: [
  { user: tester, password: tester }
  { user: supervisor, password: ${password}${publish} }
] }
`
}
