import type { Power } from './evidence.ts'
import type { Stage } from './stage.ts'

/** Something that goes wrong, and is put right again. */
export interface Fault {
  readonly name: string
  /** What it may do to jobs besides holding them up. */
  readonly powers: readonly Power[]
  /** Strikes, and heals when it has struck. Resolves to the processes that it hit; undefined when it hit everybody. */
  strike(stage: Stage): Promise<readonly number[] | undefined>
}
