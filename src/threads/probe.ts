import type { ThreadJob } from './thread-job.ts'

/** One frame: function, file, line and column, each as far as V8 knows it. */
export type RawFrame = readonly [string | null, string | null, number | null, number | null]

/** What a thread answers when it is asked where it is. */
export interface ProbeAnswer {
  /** The slot and the ticket of the job in whose name the current code runs. */
  readonly slot: number | null
  readonly ticket: number | null
  /** Innermost first; the probe's own frame and that of its call come before. */
  readonly frames: readonly RawFrame[]
  readonly resources: readonly string[]
}

const mostFrames = 40
const nameCharacters = 200

// Taken before any handler is imported, because handlers may replace what they find.
const { stringify } = JSON
const TheError = Error
const activeResources = process.getActiveResourcesInfo.bind(process)

/** Where the probe is found in its thread. */
const probeKey = 'millrace.probe'

/** What to evaluate in a thread to get a `ProbeAnswer` as JSON. */
export const probeExpression = `globalThis[Symbol.for(${JSON.stringify(probeKey)})]()`

/**
 * Makes this thread tell where it is when an inspector evaluates `probeExpression` in it. V8 evaluates that in the
 * middle of whatever the thread runs, also in an endless loop, on top of its stack. Nothing happens before.
 */
export function installProbe(currentJob: () => ThreadJob | undefined): void {
  const probe = (): string => {
    const job = currentJob()
    const answer: ProbeAnswer = {
      slot: job?.slot ?? null,
      ticket: job?.ticket ?? null,
      frames: framesHere(),
      resources: activeResources(),
    }
    return stringify(answer)
  }
  Object.defineProperty(globalThis, Symbol.for(probeKey), { value: probe })
}

function framesHere(): RawFrame[] {
  const { stackTraceLimit, prepareStackTrace } = TheError
  try {
    TheError.stackTraceLimit = mostFrames
    TheError.prepareStackTrace = (_error, sites) => sites.map(frameOf)
    return new TheError().stack as unknown as RawFrame[]
  } finally {
    TheError.stackTraceLimit = stackTraceLimit
    TheError.prepareStackTrace = prepareStackTrace
  }
}

function frameOf(site: NodeJS.CallSite): RawFrame {
  return [
    site.getFunctionName()?.slice(0, nameCharacters) ?? null,
    site.getFileName() ?? null,
    site.getLineNumber(),
    site.getColumnNumber(),
  ]
}
