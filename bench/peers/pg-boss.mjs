/**
 * pg-boss (https://pgboss.io) with large batches, four at once, each fetched as soon as the one
 * before was full (https://pgboss.io/api/workers). Completed jobs
 * stay in its table, as they do with its defaults.
 */
import { PgBoss } from 'pg-boss'

export async function prepare({ url, handlers }) {
  const boss = await start(url)
  for (const handler of handlers) await boss.createQueue(handler, { notify: true })
  await boss.stop({ graceful: false })
}

export async function openQueue({ url, handler }) {
  const boss = await start(url)
  return {
    add: (payload) => boss.send(handler, payload),
    addMany: (payloads) =>
      boss.insert(
        handler,
        payloads.map((data) => ({ data })),
      ),
    close: () => boss.stop({ graceful: false }),
  }
}

/** A batch is completed as one, which is the faster way; the jobs of a batch run at the same time. */
export async function take({ url, handler, work, settings, onDone }) {
  const { concurrency, localConcurrency } = settings
  // A load that may only have so many places at once has them in all batches together.
  const batchSize =
    concurrency === undefined ? settings.batchSize : Math.floor(concurrency / localConcurrency)
  const boss = await start(url)
  const options = { batchSize, localConcurrency, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }
  await boss.work(handler, options, async (jobs) => {
    await Promise.all(jobs.map(({ data }) => work(data)))
    for (const _ of jobs) onDone()
  })
}

let counting
export async function readState({ url, handler }) {
  counting ??= (await start(url)).getDb()
  const { rows } = await counting.executeSql(
    "select count(*) filter (where state < 'completed')::int as left, count(*) filter (where state = 'failed' or retry_count > 0)::int as failed from pgboss.job where name = $1",
    [handler],
  )
  return rows[0]
}

async function start(url) {
  const boss = new PgBoss({
    connectionString: url,
    max: 10,
    useListenNotify: true,
    supervise: false,
    schedule: false,
  })
  boss.on('error', (error) => process.stderr.write(`${error.stack}\n`))
  await boss.start()
  return boss
}
