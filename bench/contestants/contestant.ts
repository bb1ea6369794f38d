import type { Stage } from '../stage/stage.ts'

/** What a contestant is asked to do. */
export type Order = {
  /** Its jobs are those of the subject `jobs.<handler>`. */
  readonly handler: string
  /** The folder of compiled handlers that defines it, and nothing else. */
  readonly handlersDir: string
  /** Settings of a supervisor, by environment variable. */
  readonly settings?: Record<string, string>
  /** Into which folder the process writes a CPU profile when it stops. */
  readonly profileDir?: string | undefined
}

/** A contestant that takes jobs. */
export type Running = {
  readonly pid: number
  /** Rejects when it ends by itself; never resolves. */
  readonly failure: Promise<never>
  /** @throws {BenchError} unless by its own account exactly `jobs` jobs were done, each once. */
  account(jobs: number): Promise<void>
  stop(): Promise<void>
}

/** A way to get jobs of a stream done, in a process of its own. */
export type Contestant = {
  readonly name: string
  start(stage: Stage, order: Order): Promise<Running>
}
