import { createRequire } from 'node:module'
import type * as Api from '@opentelemetry/api'

/** The API of OpenTelemetry, which does nothing until somebody has registered an SDK. */
export type OpenTelemetry = typeof Api

/** Where the API keeps what is registered, in every copy of its first major version. */
const registry = Symbol.for('opentelemetry.js.api.1')

/** Null when there is none to be had, which is not tried again: looking for it costs more than a job. */
let api: OpenTelemetry | null | undefined

/**
 * The API when an SDK has registered a tracer in this thread, else undefined; then it is not even loaded, and asking
 * costs one look at a global. An SDK that comes from an older minor version of the API than ours finds no spans.
 */
export function openTelemetry(): OpenTelemetry | undefined {
  const registered = (globalThis as { [registry]?: { trace?: unknown } })[registry]
  if (registered?.trace === undefined) return undefined
  if (api === undefined) api = loadApi() ?? null
  return api ?? undefined
}

function loadApi(): OpenTelemetry | undefined {
  // It is optional, and whoever registered an SDK may have a copy that we cannot see.
  return untroubled(() => createRequire(import.meta.url)('@opentelemetry/api') as OpenTelemetry)
}

/** What an SDK, or a part that somebody gave it, makes of this; undefined when it throws, which no job may suffer for. */
export function untroubled<Result>(work: () => Result): Result | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}

/** Runs work with this context active, once in any case: also when the context manager throws, before or after it. */
export function runWithin<Result>(otel: OpenTelemetry, context: Api.Context, work: () => Result): Result {
  let end: (() => Result) | undefined
  const run = (): (() => Result) => {
    try {
      const result = work()
      end = () => result
    } catch (error) {
      end = () => {
        throw error
      }
    }
    return end
  }
  untroubled(() => otel.context.with(context, run))
  return (end ?? run())()
}

/** Who makes the spans. */
export const tracerName = 'millrace'
