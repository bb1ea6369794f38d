/** Which span, in which trace, by the fields of OpenTelemetry's span context; may cross the boundary of a thread. */
export interface SpanPlace {
  readonly traceId: string
  readonly spanId: string
  readonly traceFlags: number
}
