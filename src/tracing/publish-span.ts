import type { Context, Span } from '@opentelemetry/api'
import type { HeaderEntry } from '../core/dead-letter.ts'
import { isHeaderName, isHeaderValue } from '../core/header-text.ts'
import { type OpenTelemetry, openTelemetry, runWithin, tracerName, untroubled } from './open-telemetry.ts'

/** What is to be published. */
export interface Publishing {
  /** The subject, or of many jobs what they have in common. */
  readonly destination: string
  /** Of a single job. */
  readonly jobId?: string
  readonly data?: Uint8Array | string
  readonly headers?: readonly HeaderEntry[]
}

const none: readonly HeaderEntry[] = []

/**
 * Publishes inside a span of its own, a child of what is active here. `publish` is given the headers that carry its
 * context to where the job runs. When no SDK is registered there is neither, nor for a job that brings a
 * `traceparent` of its own. An SDK that throws costs the span, never the job.
 */
export function withPublishSpan<Result>(
  publishing: Publishing,
  publish: (headers: readonly HeaderEntry[]) => Promise<Result>,
): Promise<Result> {
  const otel = openTelemetry()
  if (!otel || hasContext(publishing.headers ?? none)) return publish(none)
  return publishInSpan(otel, publishing, publish)
}

async function publishInSpan<Result>(
  otel: OpenTelemetry,
  publishing: Publishing,
  publish: (headers: readonly HeaderEntry[]) => Promise<Result>,
): Promise<Result> {
  const span = untroubled(() => startPublish(otel, publishing))
  const context = span && untroubled(() => otel.trace.setSpan(otel.context.active(), span))
  if (!context) return publish(none)
  const headers = untroubled(() => headersOf(otel, context)) ?? none
  try {
    return await runWithin(otel, context, () => publish(headers))
  } catch (error) {
    untroubled(() => failSpan(otel, span, error))
    throw error
  } finally {
    untroubled(() => span.end())
  }
}

/** Whether a job brings a context of its own, which then stays. */
export function hasContext(headers: readonly HeaderEntry[]): boolean {
  return headers.some(([name]) => name.toLowerCase() === 'traceparent')
}

function startPublish(otel: OpenTelemetry, { destination, jobId, data }: Publishing): Span {
  return otel.trace.getTracer(tracerName).startSpan(`publish ${destination}`, {
    kind: otel.SpanKind.PRODUCER,
    attributes: {
      'messaging.system': 'nats',
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
      'messaging.destination.name': destination,
      ...(jobId === undefined ? {} : { 'messaging.message.id': jobId }),
      ...(data === undefined ? {} : { 'messaging.message.body.size': Buffer.byteLength(data) }),
    },
  })
}

/** What a propagator writes is checked as if the caller had given it: baggage may hold anything. */
function headersOf(otel: OpenTelemetry, context: Context): HeaderEntry[] {
  const carrier: Record<string, string> = {}
  otel.propagation.inject(context, carrier)
  return Object.entries(carrier).filter(
    ([name, value]) => isHeaderName(name) && !/^(nats|millrace)-/i.test(name) && isHeaderValue(value),
  )
}

function failSpan(otel: OpenTelemetry, span: Span, error: unknown): void {
  const { code, message } = error as { code?: unknown; message?: unknown }
  if (typeof code === 'string') span.setAttribute('error.type', code)
  span.setStatus({ code: otel.SpanStatusCode.ERROR, message: String(message ?? error) })
}
