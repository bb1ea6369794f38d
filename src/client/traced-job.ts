import type { HeaderEntry } from '../core/dead-letter.ts'
import { mostHeaders } from '../core/job-headers.ts'
import { hasContext, withPublishSpan } from '../tracing/publish-span.ts'
import type { NewJob } from './new-job.ts'

/** Publishes a job inside a span whose context travels with it. A job with a `traceparent` of its own keeps that. */
export function publishTraced<Stored>(
  job: NewJob,
  publish: (job: NewJob) => Promise<Stored>,
): Promise<Stored> {
  const { subject: destination, id: jobId, data, headers: own } = job
  const publishing = { destination, jobId, data, headers: own }
  return withPublishSpan(publishing, (headers) => publish(withTraceHeaders(job, headers)))
}

/**
 * The job with headers that carry the context of a span; as it is without, or when it has its own, or no room for more
 * headers. One that it has stays.
 */
export function withTraceHeaders(job: NewJob, headers: readonly HeaderEntry[]): NewJob {
  if (headers.length === 0) return job
  const own = new Set(job.headers.map(([name]) => name.toLowerCase()))
  const added = headers.filter(([name]) => !own.has(name.toLowerCase()))
  if (hasContext(job.headers) || job.headers.length + added.length > mostHeaders) return job
  return { ...job, headers: [...job.headers, ...added] }
}
