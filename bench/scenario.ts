import type { Contestant } from './contestants/contestant.ts'

/** What a whole run of the benchmarks was asked for. */
export type BenchOptions = {
  /** The nats-server to run. */
  binary: string
  /** Measured rounds of each scenario. */
  rounds: number
  /** Whether a round that does not count comes first. */
  warmUp: boolean
  /** A second or two for each scenario: shows that it works, not how fast it is. */
  quick: boolean
  /** Jobs of a drain that count; more go before them. */
  jobs: number
  /** Threads of the supervisor. */
  threads: number
  /** Which scenarios to run; empty for all. */
  only: readonly string[]
  /** Where processes under test write a CPU profile each. */
  profileDir?: string | undefined
  narrate: (line: string) => void
}

/** One thing that a scenario measures; a row of its table. */
export type Measure = {
  readonly key: string
  readonly label: string
  readonly digits: number
  /** How Millrace is compared with the floor in the same round. @default 'ratio' */
  readonly against?: 'ratio' | 'difference'
  /** What the median has to reach: of Millrace's value itself, or of its comparison with the floor. */
  readonly goal?: { readonly of: 'value' | 'floor'; readonly atLeast?: number; readonly atMost?: number }
}

/** What one run of one contestant showed, by the keys of the measures. */
export type Values = Record<string, number>

/** A load, who is put under it, and what is measured. */
export type Scenario = {
  readonly name: string
  readonly title: string
  /** What is done and how it is measured, for the report. */
  readonly method: string
  /** In every round all of them run, one after the other; ratios are to the first. */
  readonly contestants: readonly Contestant[]
  readonly measures: readonly Measure[]
  /** @throws {BenchError} when a job was lost, doubled or failed: then there is no number. */
  run(contestant: Contestant, options: BenchOptions): Promise<Values>
}
