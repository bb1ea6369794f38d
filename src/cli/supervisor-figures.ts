import { usageError } from './command.ts'

/** Shorter than the time between two looks. */
const patienceMs = 900

/** What one supervisor says of itself on its page of metrics. */
export interface SupervisorFigures {
  /** Of its page. */
  readonly url: string
  /** Why there are none; the rest is empty then. */
  readonly problem: string | undefined
  readonly isConnected: boolean
  /** Threads by state. */
  readonly threads: Readonly<Record<string, number>>
  readonly handlers: ReadonlyMap<string, HandlerFigures>
}

/** What a supervisor says of one handler. */
export interface HandlerFigures {
  /** Deliveries that it holds. */
  readonly inFlight: number
  /** How many attempts took no longer than so many seconds, for each bound. */
  readonly durations: ReadonlyMap<number, number>
}

/**
 * The address of the metrics of a supervisor, from what somebody typed: `host:9464` is enough.
 *
 * @throws {MillraceError} `invalid_arguments`.
 */
export function metricsUrl(typed: string): string {
  const text = typed.includes('://') ? typed : `http://${typed}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw usageError(
      `--metrics must be the address of a supervisor, such as http://127.0.0.1:9464, got ${JSON.stringify(typed)}`,
    )
  if (url.pathname === '/') url.pathname = '/metrics'
  return url.href
}

/** Asks a supervisor; one that does not answer has a problem. */
export async function readFigures(url: string): Promise<SupervisorFigures> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(patienceMs) })
    const page = await response.text()
    return response.ok ? figuresOf(url, page) : without(url, `answers ${response.status}`)
  } catch (error) {
    const { cause, message } = error as Error
    const code = (cause as NodeJS.ErrnoException | undefined)?.code
    return without(url, code ?? message)
  }
}

function without(url: string, problem: string): SupervisorFigures {
  return { url, problem, isConnected: false, threads: {}, handlers: new Map() }
}

/** What a page of metrics says. */
export function figuresOf(url: string, page: string): SupervisorFigures {
  const threads: Record<string, number> = {}
  const handlers = new Map<string, { inFlight: number; durations: Map<number, number> }>()
  let isConnected = false
  const handlerOf = (name: string) => {
    const figures = handlers.get(name) ?? { inFlight: 0, durations: new Map() }
    handlers.set(name, figures)
    return figures
  }
  for (const [, name, inside = '', number] of page.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)) {
    const value = Number(number)
    const { handler = '', state = '', le = '' } = labelsOf(inside)
    if (name === 'millrace_nats_connected') isConnected = value === 1
    else if (name === 'millrace_threads') threads[state] = (threads[state] ?? 0) + value
    else if (name === 'millrace_jobs_in_flight') handlerOf(handler).inFlight = value
    else if (name === 'millrace_job_duration_seconds_bucket')
      handlerOf(handler).durations.set(le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), value)
  }
  return { url, problem: undefined, isConnected, threads, handlers }
}

function labelsOf(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)]
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value!.replaceAll(/\\(.)/g, '$1')]))
}
