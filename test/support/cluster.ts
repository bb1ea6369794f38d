import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { type ClusterInfo, type JetStreamManager, jetstreamManager, StorageType } from '@nats-io/jetstream'
import { connect, type NatsConnection, nanos } from '@nats-io/transport-node'
import { type LocalBroker, startLocalBroker } from '#src/broker/local-broker.js'
import { eventually } from './eventually.ts'
import { Link } from './link.ts'
import { serverBinary } from './nats-server.ts'

/** Members of a group hear of each other every second. */
const deafMs = 5_000
/** Nobody listens there: what is told to go there stays away. */
const nowhere = 'nats://127.0.0.1:1'

export interface ClusterOptions {
  /** @default 3 */
  size?: number
}

/** One server of a cluster. */
export interface ClusterNode {
  readonly name: string
  readonly url: string
  readonly broker: LocalBroker
}

/**
 * Several nats-servers that share one JetStream, on loopback, and everything that can happen to one of them.
 *
 * 1. Every route goes through a link of its own, so that a node can be cut off from the others while clients still
 *    reach it. No port is guessed: the links are there first, and what connects to them waits until the servers have
 *    said where they listen. Only one of two servers dials the other: when both do, 2.10 closes and dials routes again
 *    for seconds, and may end without one that it needs. But each has a route to every server in its configuration,
 *    as it expects as many members.
 * 2. Servers tell neither clients nor each other where else to connect. A client knows what it was given, and no
 *    route goes around its link.
 * 3. The servers end with this process, however that dies.
 */
export class Cluster {
  readonly nodes: readonly ClusterNode[]
  readonly #routes: readonly Route[]

  private constructor(nodes: readonly ClusterNode[], routes: readonly Route[]) {
    this.nodes = nodes
    this.#routes = routes
  }

  /** Starts the servers and waits until a stream can have a replica on each. */
  static async start({ size = 3 }: ClusterOptions = {}): Promise<Cluster> {
    const names = Array.from({ length: size }, (_, n) => `n${n + 1}`)
    const pairs = names.flatMap((from, n) => names.slice(0, n).map((to) => ({ from, to })))
    const routes = await Promise.all(pairs.map(async (pair) => ({ ...pair, link: await Link.to() })))
    const started = await Promise.allSettled(
      names.map(async (name) => {
        const config = configOf(
          name,
          routes.filter(({ from }) => from === name),
          size,
        )
        return new Node(name, await startLocalBroker({ binary: serverBinary, config }))
      }),
    )
    const nodes = started.flatMap((it) => (it.status === 'fulfilled' ? [it.value] : []))
    const cluster = new Cluster(nodes, routes)
    try {
      for (const it of started) if (it.status === 'rejected') throw it.reason
      for (const node of nodes) await cluster.#findRoutesTo(node)
      await cluster.#ready()
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  /** Every node, as `NATS_URL` takes it. */
  get url(): string {
    return this.nodes.map((node) => node.url).join(',')
  }

  node(name: string): ClusterNode {
    const found = this.nodes.find((node) => node.name === name)
    if (found === undefined) throw new Error(`no node ${name}`)
    return found
  }

  others(name: string): readonly ClusterNode[] {
    return this.nodes.filter((node) => node.name !== name)
  }

  /** Name of the node that leads a stream, as the majority sees it; waits while there is none. */
  leaderOf(stream: string, withinMs?: number): Promise<string> {
    return eventually(`${stream} has a leader`, () => this.#askForLeader(stream, this.nodes), withinMs)
  }

  /** Waits until the others have agreed on another leader than this node; answers its name. */
  takenOver(stream: string, from: string, withinMs?: number): Promise<string> {
    return eventually(
      `another node than ${from} leads ${stream}`,
      async () => {
        const leader = await this.#askForLeader(stream, this.others(from))
        return leader !== from && leader
      },
      withinMs,
    )
  }

  /** Waits until every stream and every durable consumer has a leader that has heard of all others just now. */
  async whole(withinMs?: number): Promise<void> {
    await eventually(
      'every stream and consumer is whole',
      () =>
        this.#ask(this.nodes, async (nc) => {
          const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 5_000 })
          for await (const { config, cluster } of jsm.streams.list()) {
            insistOnWhole(config.name, cluster)
            for await (const consumer of jsm.consumers.list(config.name)) {
              const { durable_name } = consumer.config
              if (durable_name !== undefined)
                insistOnWhole(`${config.name} ${durable_name}`, consumer.cluster)
            }
          }
          return true
        }),
      withinMs,
    )
  }

  /** Removes every durable consumer that has no leader, as an operator may who does not want to wait for one. */
  removeLeaderless(): Promise<undefined> {
    return this.#ask(this.nodes, async (nc) => {
      const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 5_000 })
      for await (const { config } of jsm.streams.list()) {
        for (const name of await leaderlessOf(nc, jsm, config.name))
          await jsm.consumers.delete(config.name, name)
      }
      return undefined
    })
  }

  /** Sends a signal and waits until the node is gone. */
  async kill(name: string, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const { broker } = this.node(name)
    broker.kill(signal)
    await broker.ended()
  }

  /** Starts a node again, with its store, its name and its URL. */
  async restart(name: string): Promise<void> {
    const node = this.node(name)
    await node.broker.restart()
    await this.#findRoutesTo(node)
  }

  /** The node does nothing and answers nothing, with its connections open. */
  pause(name: string): void {
    this.node(name).broker.kill('SIGSTOP')
  }

  resume(name: string): void {
    this.node(name).broker.kill('SIGCONT')
  }

  /** Nothing passes between the node and the others any more; clients notice nothing. */
  partition(name: string): void {
    for (const { from, to, link } of this.#routes) if (from === name || to === name) link.set('blackhole')
  }

  /** Ends every partition; what was on its way arrives. */
  heal(): void {
    for (const { link } of this.#routes) link.set('pass')
  }

  async stop(): Promise<void> {
    await Promise.all(this.#routes.map(({ link }) => link.close()))
    await Promise.all(this.nodes.map(({ broker }) => broker.stop()))
  }

  async #findRoutesTo(node: ClusterNode): Promise<void> {
    const url = await routeUrlOf(node.broker)
    for (const { to, link } of this.#routes) if (to === node.name) link.retarget(url)
  }

  #askForLeader(stream: string, nodes: readonly ClusterNode[]): Promise<string | undefined> {
    return this.#ask(nodes, async (nc) => {
      const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 1_000 })
      return (await jsm.streams.info(stream)).cluster?.leader
    })
  }

  /** Asks nodes in turn until one answers. */
  async #ask<T>(nodes: readonly ClusterNode[], question: (nc: NatsConnection) => Promise<T>): Promise<T> {
    const problems: unknown[] = []
    for (const { url } of nodes) {
      let nc: NatsConnection | undefined
      try {
        nc = await connect({ servers: url, timeout: 500, reconnect: false })
        return await question(nc)
      } catch (error) {
        problems.push(error)
      } finally {
        // A node that is paused would never say goodbye.
        void nc?.close()
      }
    }
    throw new AggregateError(problems, problems.map(String).join(', '))
  }

  /** A server that has met the others only just now is not yet given replicas. */
  async #ready(): Promise<void> {
    const name = 'IS_THERE_ROOM'
    const { length } = this.nodes
    await eventually('a stream can be on every node', () =>
      this.#ask(this.nodes, async (nc) => {
        const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 2_000 })
        await jsm.streams.add({ name, subjects: [name], num_replicas: length, storage: StorageType.Memory })
        return jsm.streams.delete(name)
      }),
    )
  }
}

/** Starts a cluster that ends with the test. */
export async function startCluster(
  t: Pick<TestContext, 'after'>,
  options: ClusterOptions = {},
): Promise<Cluster> {
  const cluster = await Cluster.start(options)
  t.after(() => cluster.stop())
  return cluster
}

interface Route {
  readonly from: string
  readonly to: string
  readonly link: Link
}

class Node implements ClusterNode {
  readonly name: string
  readonly broker: LocalBroker

  constructor(name: string, broker: LocalBroker) {
    this.name = name
    this.broker = broker
  }

  get url(): string {
    return this.broker.url
  }
}

/** The durables of a stream that no server answers for: they have a name, and are not listed. */
async function leaderlessOf(nc: NatsConnection, jsm: JetStreamManager, stream: string): Promise<string[]> {
  const answer = await nc.request(`$JS.API.CONSUMER.NAMES.${stream}`, '', { timeout: 5_000 })
  const { consumers } = answer.json<{ consumers: string[] | null }>()
  const listed = new Set<string>()
  for await (const { name } of jsm.consumers.list(stream)) listed.add(name)
  // Watches of a bucket come and go.
  return (consumers ?? []).filter((name) => !listed.has(name) && !name.startsWith('millrace_'))
}

function insistOnWhole(name: string, cluster: ClusterInfo | undefined): void {
  if (!cluster?.leader) throw new Error(`${name} has no leader`)
  const away = cluster.replicas?.find(({ active, offline }) => offline || active > nanos(deafMs))
  if (away) throw new Error(`the leader of ${name} has not heard of ${away.name}`)
}

function configOf(name: string, dialled: readonly Route[], size: number): string {
  const urls = Array.from({ length: size }, (_, n) => dialled[n]?.link.url ?? nowhere)
  return `server_name: ${name}
cluster {
  name: test
  listen: "127.0.0.1:-1"
  advertise: "${new URL(nowhere).host}"
  no_advertise: true
  routes: [${urls.map((url) => `"${url}"`).join(', ')}]
}
`
}

/** Where the server listens for routes, from the file that it writes once it listens. */
async function routeUrlOf({ storeDir }: LocalBroker): Promise<string> {
  const [file] = (await readdir(storeDir)).filter((name) => name.endsWith('.ports'))
  const ports = JSON.parse(await readFile(path.join(storeDir, file!), 'utf8')) as { cluster: string[] }
  return ports.cluster[0]!
}
