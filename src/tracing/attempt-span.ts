import type { Context, Link, Span, SpanOptions } from '@opentelemetry/api'
import { consumerName } from '../core/names.ts'
import type { AttemptError } from '../core/outcome.ts'
import type { SpanPlace } from '../core/span-place.ts'
import { type OpenTelemetry, openTelemetry, runWithin, tracerName, untroubled } from './open-telemetry.ts'

/** What a span says of an attempt. */
export interface AttemptFacts {
  readonly jobId: string
  readonly handler: string
  readonly subject: string
  readonly attempt: number
  readonly stream: string
  readonly sequence: number
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  readonly worker: string
}

/** How an attempt ended, as far as a span tells. */
export interface AttemptEnd {
  readonly outcome: string
  readonly error?: AttemptError | undefined
  /** Where it was when its thread was killed. */
  readonly where?: string | undefined
}

/** How a delivery was settled. */
export type SettleOperation = 'ack' | 'nak' | 'dead_letter'

/**
 * Spans of attempts and settlements, by the messaging conventions of OpenTelemetry.
 *
 * Each works on a single message, so it is a child of the span that published the job, and all attempts of a job are
 * in one trace. A replay is somebody's decision of another day: each of its attempts begins a trace of its own, with a
 * link to the first one, and the settlement is a child of the attempt.
 *
 * Nothing here throws, whatever the SDK does: a span may get lost, a job may not.
 */
export class AttemptSpans {
  readonly #otel: OpenTelemetry

  private constructor(otel: OpenTelemetry) {
    this.#otel = otel
  }

  /** Undefined when no SDK is registered in this thread. To be asked once, when whoever registers one has done so. */
  static create(): AttemptSpans | undefined {
    const otel = openTelemetry()
    return otel && new AttemptSpans(otel)
  }

  /** An attempt that began at this instant runs here; epoch milliseconds. Undefined when the SDK makes no span. */
  begin(facts: AttemptFacts, startedAt: number): RunningAttempt | undefined {
    return untroubled(() => {
      const { context, links } = this.#origin(facts.headers)
      const options = { kind: this.#otel.SpanKind.CONSUMER, links, startTime: startedAt }
      const span = this.#start('process', 'process', facts, context, options)
      return new RunningAttempt(this.#otel, span, this.#otel.trace.setSpan(context, span), startedAt)
    })
  }

  /** An attempt has ended whose thread could not tell; epoch milliseconds. */
  ended(facts: AttemptFacts, end: AttemptEnd, startedAt: number, endedAt: number): SpanPlace | undefined {
    const span = this.begin(facts, startedAt)
    span?.end(end, endedAt - startedAt)
    return span?.place
  }

  /**
   * A delivery was settled; epoch milliseconds, the first when its attempt had ended.
   *
   * @param attempt - the span of that attempt, if it is known.
   */
  settled(
    facts: AttemptFacts,
    operation: SettleOperation,
    from: number,
    to: number,
    attempt?: SpanPlace,
  ): void {
    untroubled(() => {
      const { context, links } = this.#origin(facts.headers, attempt)
      const options = { kind: this.#otel.SpanKind.CLIENT, links, startTime: from }
      this.#start(operation, 'settle', facts, context, options).end(to)
    })
  }

  #origin(headers: AttemptFacts['headers'], attempt?: SpanPlace): { context: Context; links: Link[] } {
    const { propagation, trace, ROOT_CONTEXT } = this.#otel
    const context = propagation.extract(ROOT_CONTEXT, headers)
    if (!isReplay(headers)) return { context, links: [] }
    if (attempt)
      return { context: trace.setSpanContext(ROOT_CONTEXT, { ...attempt, isRemote: true }), links: [] }
    const first = trace.getSpanContext(context)
    return { context: trace.deleteSpan(context), links: first ? [{ context: first }] : [] }
  }

  #start(name: string, type: string, facts: AttemptFacts, context: Context, options: SpanOptions): Span {
    const { jobId, handler, subject, attempt, stream, sequence, headers, worker } = facts
    const attributes = {
      'messaging.system': 'nats',
      'messaging.operation.name': name,
      'messaging.operation.type': type,
      'messaging.destination.name': subject,
      'messaging.consumer.group.name': consumerName(handler),
      'messaging.message.id': jobId,
      'messaging.nats.stream': stream,
      'messaging.nats.sequence.stream': sequence,
      'millrace.handler': handler,
      'millrace.attempt': attempt,
      'millrace.worker_id': worker,
      ...(headers['millrace-replays'] === undefined
        ? {}
        : { 'millrace.replays': headers['millrace-replays'] }),
    }
    return this.#otel.trace
      .getTracer(tracerName)
      .startSpan(`${name} ${subject}`, { ...options, attributes }, context)
  }
}

/** Whether a job with these headers was given up on before, and published again. */
export function isReplay(headers: AttemptFacts['headers']): boolean {
  return headers['millrace-replays'] !== undefined
}

/** A span whose attempt runs in this thread. */
export class RunningAttempt {
  readonly #otel: OpenTelemetry
  readonly #span: Span
  readonly #context: Context
  readonly #startedAt: number

  constructor(otel: OpenTelemetry, span: Span, context: Context, startedAt: number) {
    this.#otel = otel
    this.#span = span
    this.#context = context
    this.#startedAt = startedAt
  }

  /** For the log lines of the attempt. */
  get ids(): { trace_id: string; span_id: string } | undefined {
    const { place } = this
    return place && { trace_id: place.traceId, span_id: place.spanId }
  }

  get place(): SpanPlace | undefined {
    return untroubled(() => {
      const { traceId, spanId, traceFlags } = this.#span.spanContext()
      return { traceId, spanId, traceFlags }
    })
  }

  /** Runs the handler, so that the spans that it makes are children of this one. */
  run<Result>(work: () => Result): Result {
    return runWithin(this.#otel, this.#context, work)
  }

  /** It ran for so long, which may have been a while ago. */
  end(end: AttemptEnd, durationMs: number): void {
    const endedAt = this.#startedAt + durationMs
    untroubled(() => describeEnd(this.#otel, this.#span, end, endedAt))
    untroubled(() => this.#span.end(endedAt))
  }
}

/** Attempts that say how they end by themselves: nothing went wrong. */
const fine = ['completed', 'snoozed', 'interrupted', 'expired']

function describeEnd(
  otel: OpenTelemetry,
  span: Span,
  { outcome, error, where }: AttemptEnd,
  endedAt: number,
): void {
  span.setAttribute('millrace.outcome', outcome)
  if (where !== undefined) span.setAttribute('millrace.where', where)
  if (fine.includes(outcome)) return
  span.setAttribute('error.type', error?.code ?? outcome)
  span.setStatus({ code: otel.SpanStatusCode.ERROR, ...(error ? { message: error.message } : {}) })
  if (error?.stack !== undefined)
    span.recordException({ name: error.code, message: error.message, stack: error.stack }, endedAt)
}
