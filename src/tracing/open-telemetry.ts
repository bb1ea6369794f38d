import { createRequire } from 'node:module'
import type * as Api from '@opentelemetry/api'

/** The API of OpenTelemetry, which does nothing until somebody has registered an SDK. */
export type OpenTelemetry = typeof Api

/** Where the API keeps what is registered, in every copy of its first major version. */
const registry = Symbol.for('opentelemetry.js.api.1')

let api: OpenTelemetry | undefined

/**
 * The API when an SDK has registered a tracer in this thread, else undefined; then it is not even loaded, and asking
 * costs one look at a global. An SDK that comes from an older minor version of the API than ours finds no spans.
 */
export function openTelemetry(): OpenTelemetry | undefined {
  const registered = (globalThis as { [registry]?: { trace?: unknown } })[registry]
  if (registered?.trace === undefined) return undefined
  try {
    api ??= createRequire(import.meta.url)('@opentelemetry/api') as OpenTelemetry
  } catch {
    // It is optional, and whoever registered an SDK has a copy that we cannot see.
  }
  return api
}

/** Who makes the spans. */
export const tracerName = 'millrace'
