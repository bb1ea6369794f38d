import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, startCluster } from '../../support/cluster.ts'
import { eventually } from '../../support/eventually.ts'
import { JetStreamView } from '../../support/jetstream-view.ts'
import { Ledger } from '../../support/ledger.ts'
import { Supervisor } from '../../support/supervisor.ts'
import { boundsHandlers, describeTimes, monotonicMs, type Row, Scope } from './bound.ts'

const limitMs = 10_000

type Trouble = 'killed' | 'paused' | 'partitioned'

/**
 * From the moment that the leader of the job stream is in trouble, to which the supervisor is connected, to the
 * start of a job that was published after that.
 */
export async function leaderLost({ trouble, times }: { trouble: Trouble; times: number }): Promise<Row> {
  const late: number[] = []
  const accepted: number[] = []
  for (let n = 0; n < times; n++) {
    const { acceptedMs, startedMs } = await Scope.of((scope) => loseLeader(scope, trouble))
    accepted.push(acceptedMs)
    late.push(startedMs)
  }
  return {
    bound: `a job is published and runs after the leader of the cluster is ${trouble}`,
    limit: `${limitMs} ms, all`,
    measured: describeTimes(late),
    holds: Math.max(...late) <= limitMs,
    detail: `three servers, three replicas; the supervisor was connected to the leader; of that until the cluster accepts the job: ${describeTimes(accepted)}`,
    values: late,
  }
}

/** How long after the trouble began the cluster accepted a job, and the job started. */
interface Late {
  readonly acceptedMs: number
  readonly startedMs: number
}

/** With a cluster of its own, so that nothing is left over of the trouble before. */
async function loseLeader(scope: Scope, trouble: Trouble): Promise<Late> {
  const cluster = await startCluster(scope)
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bounds-'))
  scope.after(() => rmSync(folder, { recursive: true, force: true }))
  const ledger = new Ledger(join(folder, 'ledger.jsonl'))
  const supervisor = new Supervisor({
    NATS_URL: cluster.url,
    E2E_LEDGER: ledger.path,
    MILLRACE_REPLICAS: '3',
    MILLRACE_HANDLERS: boundsHandlers,
    MILLRACE_HTTP_PORT: '0',
    MILLRACE_THREADS: '2',
    MILLRACE_ACK_WAIT_MS: '5000',
  })
  scope.after(() => supervisor.kill())
  await supervisor.ready(60_000)
  const leader = await leadWhereItIs(cluster, supervisor)
  const before = await enqueue(cluster, { do: 'return', when: 'before' })
  await eventually('a job runs before', () => ledger.ends(before).length > 0)
  const askedAt = monotonicMs()
  if (trouble === 'killed') await cluster.kill(leader)
  else if (trouble === 'paused') cluster.pause(leader)
  else cluster.partition(leader)
  const after = await enqueue(cluster, { do: 'return', when: 'after' }, leader)
  const acceptedMs = monotonicMs() - askedAt
  const start = await eventually('a job runs after', () => ledger.starts(after)[0], 60_000)
  return { acceptedMs, startedMs: start.atMs - askedAt }
}

/** Asks the leaders of the job stream to step down until the one leads that the supervisor is connected to. */
async function leadWhereItIs(cluster: Cluster, supervisor: Supervisor): Promise<string> {
  const server = supervisor.lines
    .map((line) =>
      String(
        line.msg === 'running' ? line['nats'] : line.msg === 'reconnected to NATS' ? line['server'] : '',
      ),
    )
    .findLast((text) => text !== '')!
  const { name } = cluster.nodes.find(({ url }) => new URL(url).host === server.replace(/^.*\/\//, ''))!
  await eventually(
    'the stream is led from there',
    async () => {
      if ((await cluster.leaderOf('JOBS')) === name) return true
      await withView(cluster.url, ({ nc }) =>
        nc.request('$JS.API.STREAM.LEADER.STEPDOWN.JOBS', '', { timeout: 2_000 }),
      )
      await sleep(1_000)
      return false
    },
    90_000,
  )
  return name
}

/** Enqueues through whichever node takes it, but not through one that is in trouble. */
function enqueue(cluster: Cluster, body: object, except?: string): Promise<string> {
  const nodes = cluster.nodes.filter(({ name }) => name !== except)
  let turn = 0
  return eventually('a job is accepted', () =>
    withView(nodes[turn++ % nodes.length]!.url, async (view) => {
      const reply = await view.nc.request('jobs.act', JSON.stringify(body), { timeout: 500 })
      const { stream, seq, error } = reply.json<{ stream?: string; seq?: number; error?: object }>()
      if (error !== undefined || seq === undefined) throw new Error(JSON.stringify(error))
      return `${stream}:${seq}`
    }),
  )
}

async function withView<T>(url: string, use: (view: JetStreamView) => Promise<T>): Promise<T> {
  const view = await JetStreamView.connect(url)
  try {
    return await use(view)
  } finally {
    void view.nc.close()
  }
}
