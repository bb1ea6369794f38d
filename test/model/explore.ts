import type { ProtocolOptions } from './model-world.ts'
import { ProtocolRun, type RunReport } from './protocol-run.ts'
import { inModelTurns } from './turns.ts'

/** What an exploration has seen. */
export interface Exploration {
  readonly runs: number
  readonly steps: number
  readonly seconds: number
  /** Everything within the bounds was run; false when it was told to stop before. */
  readonly isComplete: boolean
  /** The first run that broke a promise. */
  readonly failure: Failure | undefined
}

export interface Failure {
  readonly violations: readonly string[]
  readonly trace: readonly string[]
  /** The choices that were not the usual ones, in order: `replayProtocol` repeats the run by them. */
  readonly script: readonly string[]
}

/** The ways that are left at one choice of a run. */
interface Fork {
  readonly labels: readonly string[]
  at: number
}

const defaults: ProtocolOptions = {
  faults: 1,
  kinds: ['crash', 'stop', 'drop', 'stall', 'freeze', 'loss', 'answer loss', 'broker kill', 'order'],
  jobs: 1,
  culprits: 1,
  endings: ['complete', 'fail', 'permanent', 'hang', 'snooze', 'thread crash', 'process crash'],
  supervisors: 1,
  concurrency: 1,
  maxAttempts: 2,
}

/**
 * Runs the protocol in every way there is within the bounds of `options`, depth first, until one breaks a promise.
 *
 * It keeps no states: each run is executed anew from its start, along the choices of the one before up to the last
 * that has another way left. What is bounded is the number of faults in a run, and nothing else: the order in which
 * things usually happen is fixed, each deviation from it is a fault of its own.
 */
export async function exploreProtocol(
  options: Partial<ProtocolOptions> & { readonly withinMs?: number } = {},
): Promise<Exploration> {
  const { withinMs = Number.POSITIVE_INFINITY, ...bounds } = options
  const all = { ...defaults, ...bounds }
  const startedAt = performance.now()
  const forks: Fork[] = []
  let runs = 0
  let steps = 0
  const seen = (failure: Failure | undefined, isComplete: boolean): Exploration => ({
    runs,
    steps,
    seconds: (performance.now() - startedAt) / 1_000,
    isComplete,
    failure,
  })
  do {
    if (performance.now() - startedAt > withinMs) return seen(undefined, false)
    const report = await runAlong(all, forks)
    runs += 1
    steps += report.steps
    if (report.violations.length > 0) return seen({ ...report, script: scriptOf(forks) }, false)
  } while (advance(forks))
  return seen(undefined, true)
}

/** Repeats one run by its script; what is not in it happens as usual. */
export async function replayProtocol(
  options: Partial<ProtocolOptions>,
  script: readonly string[],
): Promise<RunReport & { readonly unused: readonly string[] }> {
  const left = [...script]
  const run = new ProtocolRun({ ...defaults, ...options }, (choices) => {
    const chosen = choices.find(({ label }) => label === left[0])
    if (chosen) left.shift()
    return chosen ?? choices[0]!
  })
  return { ...(await inModelTurns(() => run.execute())), unused: left }
}

/** A failure as a person reads it. */
export function tellFailure({ violations, trace, script }: Failure): string {
  const lines = [...violations, '', ...trace.map((line) => `  ${line}`), '', 'to repeat it:']
  return [...lines, `[${script.map((label) => `\n  ${JSON.stringify(label)},`).join('')}\n]`].join('\n')
}

function runAlong(options: ProtocolOptions, forks: Fork[]): Promise<RunReport> {
  let depth = 0
  const run = new ProtocolRun(options, (choices) => {
    forks[depth] ??= { labels: choices.map(({ label }) => label), at: 0 }
    const { labels, at } = forks[depth]!
    depth += 1
    const chosen = choices[at]
    // Else something in the engine depends on more than on what the model lets happen.
    if (chosen?.label !== labels[at]) throw new Error(`the model does not repeat itself at "${labels[at]}"`)
    return chosen!
  })
  return inModelTurns(() => run.execute())
}

/** Goes on to the next way; false when there is none. */
function advance(forks: Fork[]): boolean {
  for (;;) {
    const last = forks.at(-1)
    if (!last) return false
    last.at += 1
    if (last.at < last.labels.length) return true
    forks.pop()
  }
}

function scriptOf(forks: readonly Fork[]): string[] {
  return forks.filter(({ at }) => at > 0).map(({ labels, at }) => labels[at]!)
}
