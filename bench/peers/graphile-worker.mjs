/**
 * graphile-worker (https://worker.graphile.org) with what its own performance test uses: 24 jobs at once, a
 * local queue, and completions in batches (https://worker.graphile.org/docs/performance).
 */
import { EventEmitter } from 'node:events'
import { Logger, makeWorkerUtils, run, runMigrations } from 'graphile-worker'
import pg from 'pg'

const quiet = new Logger(() => (level, message) => {
  if (level === 'error') process.stderr.write(`${message}\n`)
})

export async function prepare({ url }) {
  await runMigrations({ connectionString: url, logger: quiet })
}

export async function openQueue({ url, handler }) {
  const utils = await makeWorkerUtils({ connectionString: url, maxPoolSize: 20, logger: quiet })
  return {
    add: (payload) => utils.addJob(handler, payload),
    // https://worker.graphile.org/docs/sql-add-job
    addMany: (payloads) => utils.addJobs(payloads.map((payload) => ({ identifier: handler, payload }))),
    close: () => utils.release(),
  }
}

export async function take({ url, handler, work, settings, onDone }) {
  const events = new EventEmitter()
  events.on('job:complete', ({ error }) => {
    if (!error) onDone()
  })
  const { concurrency, localQueueSize } = settings
  await run({
    events,
    taskList: { [handler]: async (payload) => work(payload) },
    noHandleSignals: true,
    preset: {
      worker: {
        connectionString: url,
        concurrentJobs: concurrency,
        maxPoolSize: concurrency + 1,
        localQueue: { size: localQueueSize },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
        logger: quiet,
      },
    },
  })
}

let pool
export async function readState({ url }) {
  pool ??= new pg.Pool({ connectionString: url, max: 1 })
  const { rows } = await pool.query(
    'select count(*)::int as left, count(*) filter (where attempts > 0 and last_error is not null)::int as failed from graphile_worker._private_jobs',
  )
  return rows[0]
}
