import type { Journal } from './journal.ts'
import type { Endings } from './stage/endings.ts'

/** What a whole run of the benchmarks was asked for. */
export type BenchOptions = {
  /** The nats-server to run. */
  binary: string
  /** Its version. */
  natsVersion: string
  /** The Node that every process under test runs on, so that none has a newer one than another. */
  node: string
  /** Measured rounds of each scenario. */
  rounds: number
  /** Whether a round that does not count comes first. */
  warmUp: boolean
  /** A second or two for each scenario: shows that it works, not how fast it is. */
  quick: boolean
  /** No run begins after so long. */
  minutes: number
  /** Jobs of a drain that count; more go before them. */
  jobs: number
  /** Threads of the supervisor. */
  threads: number
  /** Iterations of a computation that takes 5 ms on this machine while nothing else runs. */
  burnRounds: number
  /** Which scenarios to run; empty for all. */
  only: readonly string[]
  /** Parts of names of the contestants that are to run; empty for all. */
  contestants: readonly string[]
  /** Keeps every run as it ends, and is where a run that was cut short goes on. */
  journal?: Journal | undefined
  /** Where processes under test write a CPU profile each. */
  profileDir?: string | undefined
  narrate: (line: string) => void
}

/** What one run of one contestant gets: the options, and where to register what has to be ended after it. */
export type RunOptions = BenchOptions & { readonly endings: Endings }

/** One thing that a scenario measures; a column of its table. */
export type Measure = { readonly key: string; readonly label: string; readonly digits: number }

/** What the median over all rounds has to reach. */
export type Goal = {
  /** The key of the measure. */
  readonly measure: string
  /** Whose it is. */
  readonly of: string
  /** With whom it is compared within each round: with the best of them. @default the value itself counts */
  readonly against?: readonly string[]
  /** @default 'ratio' */
  readonly as?: 'ratio' | 'difference'
  /** Names those it is compared with, when they are many. @default their names */
  readonly againstLabel?: string
  readonly atLeast?: number
  readonly atMost?: number
}

/** Somebody who takes part in a scenario, or one variant of it. */
export type Named = {
  readonly name: string
  /** What it is and how it is set, for the report, where its name does not say it all. */
  readonly about?: string
  /** Whether what it needs is at hand; another job system takes part only when it was asked for. @default always */
  isAvailable?(): boolean
  /** Millrace, in whatever way; pictures show it in colour. @default false */
  readonly isOwn?: boolean
}

/** What one run of one contestant showed, by the keys of the measures. */
export type Values = Record<string, number>

/** A load, who is put under it, and what is measured. */
export type Scenario = {
  readonly name: string
  readonly title: string
  /** What is done and how it is measured, for the report. */
  readonly method: string
  /** In every round all of them run, one after the other. */
  readonly contestants: readonly Named[]
  /** The first one is what charts and comparisons show. */
  readonly measures: readonly Measure[]
  /** With whom the table compares everybody; empty for nobody. @default the first contestant */
  readonly floor?: string
  /** Those whom a run has that only shows that everything works: whatever no other scenario shows. @default all */
  readonly quick?: readonly string[]
  readonly goals?: readonly Goal[]
  /**
   * Runs one contestant once.
   *
   * @throws {BenchError} when a job was lost, doubled or failed: then there is no number.
   */
  run(contestant: Named, options: RunOptions): Promise<Values>
}
