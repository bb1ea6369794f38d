import type { Engine } from '../engine/engine.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { plainError } from '../telemetry/observer.ts'
import type { LanePoolListener } from '../threads/lane-pool.ts'
import type { HandlerFault } from '../threads/lane-protocol.ts'

/** Brings what the pools tell to the engine, the log and the metrics. */
export function createPoolListener(
  engine: Engine,
  to: {
    readonly supervisorId: string
    readonly logger: Logger
    readonly metrics: Metrics
    faulty(fault: HandlerFault): void
    publishEvent(handler: string, event: string, json: string): void
  },
): LanePoolListener {
  return {
    laneReady: (lane) => engine.fromPools.laneReady(lane),
    jobEnded: (lane, job, outcome, startedAt, durationMs) =>
      engine.fromPools.jobEnded(lane, job, outcome, startedAt, durationMs),
    jobsLate: (jobs) => engine.fromPools.jobsLate(jobs),
    resultsHandled: () => engine.fromPools.resultsHandled(),
    laneEnded: (lane, started, unstarted, cause) =>
      engine.fromPools.laneEnded(lane, started, unstarted, cause),
    laneStuck: (lane) => {
      to.logger.error({ pool: lane.pool, thread_id: lane.threadId }, 'thread stuck in native code')
      engine.fromPools.laneStuck(lane)
    },
    threadEnded: (pool, reason) => {
      if (reason !== 'shutdown') to.metrics.threadEnded(pool, reason)
    },
    handlersFailed: (_pool, faults) => {
      for (const fault of faults) to.faulty(fault)
      engine.withdraw(faults.map((fault) => fault.name))
    },
    leaked: (lane, { handler, jobId, attempt, code, message }) => {
      const worker = `${to.supervisorId}/${lane.threadId}`
      to.logger.warn(
        { job_id: jobId, handler, attempt, worker_id: worker, pool: lane.pool, err: { code, message } },
        'a finished job left something behind that threw',
      )
    },
    progressed: ({ handler, jobId, attempt, value }) => {
      // The value is JSON already.
      const about = JSON.stringify({ job_id: jobId, handler, attempt }).slice(0, -1)
      to.publishEvent(handler, 'progress', `${about},"value":${value}}`)
    },
    poolError: (pool, error) => to.logger.error({ pool, err: plainError(error) }, 'thread pool error'),
  }
}
