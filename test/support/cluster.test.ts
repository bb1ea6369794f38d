import { type TestContext, test } from 'node:test'
import { AckPolicy, jetstream, jetstreamManager, RetentionPolicy } from '@nats-io/jetstream'
import { connect, createInbox, type NatsConnection, nanos } from '@nats-io/transport-node'
import { type Cluster, startCluster } from './cluster.ts'
import { eventually } from './eventually.ts'
import { unlessServer } from './nats-server.ts'

/** A client of each node: whichever node is in trouble, the others can be tried. */
async function dialAll(t: TestContext, cluster: Cluster): Promise<NatsConnection[]> {
  return Promise.all(
    cluster.nodes.map(async ({ url }) => {
      const nc = await connect({
        servers: url,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
        pingInterval: 1_000,
      })
      t.after(() => void nc.close())
      return nc
    }),
  )
}

/** A plain producer and a plain consumer on a stream with three replicas, until they are told to stop. */
async function traffic(t: TestContext, cluster: Cluster) {
  const clients = await dialAll(t, cluster)
  const jsm = await jetstreamManager(clients[0]!, { timeout: 5_000 })
  await jsm.streams.add({
    name: 'WORK',
    subjects: ['work'],
    num_replicas: 3,
    retention: RetentionPolicy.Workqueue,
  })
  await jsm.consumers.add('WORK', {
    durable_name: 'all',
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(2_000),
  })
  const stored = new Set<string>()
  const seen = new Set<string>()
  let over = false
  let turn = 0
  const publish = async (): Promise<void> => {
    for (let n = 0; !over; n++) {
      const msgID = String(n)
      while (!stored.has(msgID) && !over) {
        const js = jetstream(clients[turn % clients.length]!, { timeout: 500 })
        try {
          await js.publish('work', msgID, { msgID })
          stored.add(msgID)
        } catch {
          turn++
        }
      }
    }
  }
  const consume = async (nc: NatsConnection): Promise<void> => {
    while (!over) {
      const pull = '{"batch":1,"expires":1000000000}'
      // A job keeps its own subject, by which a shared inbox would not know it.
      const alone = { timeout: 1_500, noMux: true, reply: createInbox() }
      const message = await nc.request('$JS.API.CONSUMER.MSG.NEXT.WORK.all', pull, alone).catch(() => null)
      if (message === null || message.headers?.code) continue
      seen.add(message.string())
      message.respond('+ACK')
    }
  }
  const ends = Promise.all([publish(), ...clients.map(consume)])
  t.after(() => {
    over = true
  })
  const stop = async (): Promise<void> => {
    over = true
    await ends
  }
  return { stored, seen, clients, stop }
}

const troubles = {
  killed: {
    begin: (cluster: Cluster, leader: string) => cluster.kill(leader),
    end: (cluster: Cluster, leader: string) => cluster.restart(leader),
  },
  paused: {
    begin: async (cluster: Cluster, leader: string) => cluster.pause(leader),
    end: async (cluster: Cluster, leader: string) => cluster.resume(leader),
  },
  partitioned: {
    begin: async (cluster: Cluster, leader: string) => cluster.partition(leader),
    end: async (cluster: Cluster) => cluster.heal(),
  },
}

for (const [trouble, { begin, end }] of Object.entries(troubles)) {
  // An older cluster may not agree on a leader any more for a long time, or lose what it has acknowledged: see
  // docs/reliability.md.
  const skip = trouble !== 'killed' && unlessServer(trouble === 'paused' ? '2.10.0' : '2.15.0')
  test(`a cluster whose leader is ${trouble} goes on and loses nothing that it acknowledged`, {
    skip,
  }, async (t) => {
    const cluster = await startCluster(t)
    const { stored, seen, clients, stop } = await traffic(t, cluster)
    await eventually('work is under way', () => seen.size >= 50)
    const leader = await cluster.leaderOf('WORK')
    await begin(cluster, leader)
    if (trouble === 'partitioned') {
      const isolated = clients[cluster.nodes.findIndex(({ name }) => name === leader)]
      await isolated!.flush()
    }
    await cluster.takenOver('WORK', leader)
    const before = stored.size
    await eventually('the others accept more', () => stored.size >= before + 50)
    await end(cluster, leader)
    await eventually('all nodes are reached again', async () => {
      await Promise.all(clients.map((nc) => nc.rtt()))
      return true
    })
    const accepted = [...stored]
    await eventually('all of it was seen', () => accepted.every((id) => seen.has(id)))
    await stop()
  })
}
