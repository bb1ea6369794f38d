import { type ArrivalParts, JobArrival } from './job-arrival.ts'
import { type BeginningParts, JobBeginning } from './job-beginning.ts'
import { type EndParts, JobEnd } from './job-end.ts'
import { type InterruptionParts, JobInterruption } from './job-interruption.ts'

/** What a job meets on its way; made by the engine. */
export type LifeParts = Omit<ArrivalParts & BeginningParts & EndParts & InterruptionParts, keyof JobLife>

/**
 * The life of one job in this process:
 *
 * 1. `arrival`: a delivery comes in. One that we finished or hold already is not run again, nor is the second
 *    job of a tick. Headers, expiry, attempt and cancels are looked at; some go straight to their dead letter,
 *    and one whose time has not come is put aside.
 * 2. `beginning`: it waits at the gates (key, limits, other suspects) for its turn, then for a thread. Until it
 *    begins, a pause, a cancel or a stop takes it out again.
 * 3. `end`: its thread reported an outcome, or ended, or was ended. The verdict on it is carried out. One with a
 *    key that is to be attempted again is held here meanwhile, and returns to the gates.
 *
 * `interruption` can cut in anywhere: its thread or its lease is lost, or its handler, or its stream.
 */
export class JobLife {
  readonly arrival: JobArrival
  readonly beginning: JobBeginning
  readonly end: JobEnd
  readonly interruption: JobInterruption

  constructor(parts: LifeParts) {
    const beginning = new JobBeginning(parts)
    const end = new JobEnd({ ...parts, beginning })
    const interruption = new JobInterruption({ ...parts, beginning, end })
    this.arrival = new JobArrival({ ...parts, beginning, interruption })
    this.beginning = beginning
    this.end = end
    this.interruption = interruption
  }
}
