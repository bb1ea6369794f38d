import { runBounds } from './bounds/run-bounds.ts'
import { runFuzz } from './fuzz/run-fuzz.ts'
import { runMixed, runStorm } from './mixed.ts'
import type { LongReport } from './report.ts'

/** The parts of a long run. */
export const parts = ['storm', 'mixed', 'fuzz', 'bounds'] as const
export type Part = (typeof parts)[number]

/** What to run, and for how long. */
export interface LongRunOptions {
  readonly parts: readonly Part[]
  readonly seed: number
  readonly jobs: number
  readonly faults: number
  readonly minutes: number
  readonly messages: number
  readonly narrate: (line: string) => void
}

/** Runs the parts one after the other: each wants the machine for itself. */
export async function runFaults(options: LongRunOptions): Promise<LongReport> {
  const { seed, jobs, faults, minutes, messages, narrate } = options
  const wants = (part: Part): boolean => options.parts.includes(part)
  return {
    storm: wants('storm') ? await runStorm(narrate) : undefined,
    mixed: wants('mixed') ? await runMixed({ seed, jobs, faults, minutes, narrate }) : undefined,
    fuzz: wants('fuzz') ? await runFuzz({ seed, messages, narrate }) : undefined,
    bounds: wants('bounds') ? await runBounds({ narrate, long: true }) : undefined,
  }
}
