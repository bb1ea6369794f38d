import type { Stage } from '../stage/stage.ts'
import type { Sample } from './metrics.ts'

/** What a contestant is asked to do. */
export type Order = {
  /** Jobs of the subject `jobs.<handler>` are to be taken. */
  readonly handler: string
  /** The folder of compiled handlers that holds it. */
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
  /** What it counts itself, when it does. */
  readonly readMetrics: (() => Promise<Sample[]>) | undefined
  stop(): Promise<void>
}

/** A way to get jobs of a stream done, in a process of its own. */
export type Contestant = {
  readonly name: string
  /** Resolves when the process runs, or takes jobs already. */
  start(stage: Stage, order: Order): Promise<Running>
}
