import path from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { SampleFiles } from './sample-files.ts'

/** A job as anybody publishes it: the handler's name is the subject, the payload is the message. */
export type DemoJob = { handler: string; body: string }

/** The jobs of the demo, mixed: most are fine, some fail for a while, four cannot succeed. */
export function listJobs(files: SampleFiles, receiverUrl: string): DemoJob[] {
  const jobs = [
    ...times(80, (n) => job('webhook.deliver', { url: `${receiverUrl}/orders/${n}`, body: { order: n } })),
    ...times(12, (n) => job('webhook.deliver', { url: `${receiverUrl}/flaky/${n}`, body: { order: n } })),
    ...times(40, (n) =>
      job('image.thumbnail', {
        source: files.picture,
        output: path.join(files.outputDir, `${n}.webp`),
        width: 80 + n * 4,
      }),
    ),
    ...times(20, (n) =>
      job('report.rollup', {
        source: files.sales,
        output: path.join(files.outputDir, `${n}.json`),
        groupBy: 'region',
        columns: ['units', 'amount'],
      }),
    ),
    ...times(100, () => job('file.hash', { path: files.sales })),
  ]
  const troubled = [
    job('demo.spin', {}),
    job('webhook.deliver', { url: `${receiverUrl}/gone`, body: { order: 404 } }),
    // A poison message: half of a JSON document.
    { handler: 'file.hash', body: '{"path": "/etc/host' },
    job('image.thumbnail', {
      source: files.picture,
      output: path.join(files.outputDir, 'a.webp'),
      width: 'wide',
    }),
  ]
  return [...troubled, ...shuffle(jobs)]
}

/** Publishes the jobs; resolves when the server has stored every one of them. */
export async function publishJobs(connection: NatsConnection, jobs: readonly DemoJob[]): Promise<void> {
  const stream = jetstream(connection)
  await Promise.all(jobs.map((each) => stream.publish(`jobs.${each.handler}`, each.body)))
}

function job(handler: string, payload: unknown): DemoJob {
  return { handler, body: JSON.stringify(payload) }
}

function times<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, n) => make(n + 1))
}

/** Mixes the kinds, the same way in every run: steps of a size that shares no factor with the count. */
function shuffle<T>(items: readonly T[]): T[] {
  return items.map((_, index) => items[(index * 101) % items.length]!)
}
