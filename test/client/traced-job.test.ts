import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NewJob } from '#src/client/new-job.js'
import { withTraceHeaders } from '#src/client/traced-job.js'
import type { HeaderEntry } from '#src/core/dead-letter.js'
import { mostHeaders } from '#src/core/job-headers.js'

const context: HeaderEntry[] = [
  ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
  ['baggage', 'a=b'],
]

function jobWith(headers: readonly HeaderEntry[]): NewJob {
  return {
    id: '1',
    idGiven: false,
    handler: 'job',
    subject: 'jobs.job',
    stream: 'JOBS',
    headers,
    data: '',
  }
}

test('the context of a span comes after the headers of its job, one of which it replaces never', () => {
  const own: HeaderEntry[] = [['Baggage', 'mine=1']]
  assert.deepEqual(withTraceHeaders(jobWith(own), context).headers, [own[0], context[0]])
  const brought: HeaderEntry[] = [['Traceparent', 'mine']]
  assert.deepEqual(withTraceHeaders(jobWith(brought), context).headers, brought)
  assert.deepEqual(withTraceHeaders(jobWith(own), []).headers, own)
})

test('a job with as many headers as it may have gets none of them', () => {
  const count = (own: number) => {
    const headers = Array.from({ length: own }, (_, at): HeaderEntry => [`x-${at}`, '1'])
    return withTraceHeaders(jobWith(headers), context).headers.length
  }
  assert.deepEqual(
    [count(mostHeaders - 2), count(mostHeaders - 1), count(mostHeaders)],
    [mostHeaders, mostHeaders - 1, mostHeaders],
  )
})
