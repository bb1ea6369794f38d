import { setTimeout as wait } from 'node:timers/promises'
import { BenchError } from './bench-error.ts'
import type { BenchOptions, Named, Scenario, Values } from './scenario.ts'
import { Endings } from './stage/endings.ts'

/** One run of one contestant; round 0 is the one that does not count. */
export type Run = {
  readonly scenario: string
  readonly round: number
  readonly contestant: string
  /** How long it took, with its servers and accounts. */
  readonly tookMs: number
  /** Undefined when it has no number. */
  readonly values?: Values
  /** Why it has none. */
  readonly failure?: string
}

/** A run that takes longer has hung, whatever it waits for. */
const longestMs = 240_000

/** Runs one contestant once. Never rejects: a run without a number says why, and the others go on. */
export async function runOnce(
  scenario: Scenario,
  contestant: Named,
  round: number,
  options: BenchOptions,
): Promise<Run> {
  const endings = new Endings()
  const place = { scenario: scenario.name, round, contestant: contestant.name }
  const began = performance.now()
  const ended = () => ({ ...place, tookMs: Math.round(performance.now() - began) })
  const label = `  ${scenario.name} ${round === 0 ? 'warm-up' : `round ${round}`} ${contestant.name}`
  try {
    const stop = new AbortController()
    const running = scenario.run(contestant, { ...options, endings })
    // When time is over first: what it waits for is ended, and so is it.
    running.catch(() => {})
    const values = await Promise.race([running, timeOut(stop.signal)]).finally(() => stop.abort())
    options.narrate(`${label}: ${describe(values, scenario)}`)
    return { ...ended(), values }
  } catch (error) {
    const { message, stack } = error as Error
    options.narrate(`${label}: failed: ${error instanceof BenchError ? message : stack}`)
    return { ...ended(), failure: message }
  } finally {
    await endings.clear().catch((error: Error) => options.narrate(`  cleaning up: ${error.message}`))
  }
}

async function timeOut(signal: AbortSignal): Promise<never> {
  await wait(longestMs, undefined, { signal, ref: false })
  throw new BenchError(`it took longer than ${longestMs / 1_000} s`)
}

function describe(values: Values, scenario: Scenario): string {
  return scenario.measures
    .filter(({ key }) => values[key] !== undefined)
    .map(({ key, digits, label }) => `${values[key]!.toFixed(digits)} ${label}`)
    .join('; ')
}
