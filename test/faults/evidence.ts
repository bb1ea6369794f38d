import type { LedgerLine } from '../support/ledger.ts'
import type { CollectedLetter } from './collected-letters.ts'
import type { PlannedJob } from './planned-job.ts'

/** Milliseconds of the machine's monotonic clock: the clock of the ledger, in every process. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}

/**
 * What a fault may do to jobs, besides holding them up. What it may not do, it must not have done.
 *
 * `repeat`: run again what had completed. `charge`: count an attempt that was none, because it looks like a crash;
 * `charge often`: several. `die`: end the process, without anybody else's doing.
 * `overlap`: let a job run in two places at once. `forget`: make attempts count for less, as a broker does that lost
 * its delivery counts. `lose`: what the broker had accepted is gone with its stream.
 */
export type Power = 'repeat' | 'charge' | 'charge often' | 'die' | 'overlap' | 'forget' | 'lose'

/** One fault, as it was. Instants are `machineMs`. */
export interface Strike {
  readonly fault: string
  readonly powers: readonly Power[]
  /** Of the supervisors that it hit; undefined when it hit everybody. */
  readonly pids: readonly number[] | undefined
  readonly from: number
  /** When it was healed. */
  readonly to: number
  /** Nobody meant it: this machine was too busy. */
  readonly unmeant?: true
}

/** What became of one publish. */
export interface Publication {
  readonly job: PlannedJob
  readonly sentAt: number
  /** Undefined while, and when, nobody can tell: the job may be there or not. */
  state: 'accepted' | 'refused' | undefined
}

/** The life of one supervisor process. Instants are `machineMs`. */
export interface ProcessLife {
  readonly pid: number
  readonly startedAt: number
  endedAt: number | undefined
  /** It was asked to stop, or killed, by the test; else it died of a job or a defect. */
  endedBy: 'stop' | 'kill' | undefined
  exit: { readonly code: number | null; readonly signal: string | null } | undefined
  /** The end of what it wrote besides its log, such as why Node.js ended it. */
  lastWords: string
}

/** What one supervisor says that it counted, against which the ledger is held. */
export interface Counted {
  readonly pid: number
  readonly completed: number
  readonly failed: number
  readonly deadLetters: number
}

/** What a supervisor logged of one job. `at` is `machineMs`, as far as its clock was right. */
export interface Told {
  readonly pid: number
  readonly at: number
  readonly line: string
}

/** Everything that is known of a round when it is over. */
export interface Evidence {
  readonly publications: ReadonlyMap<string, Publication>
  readonly ledger: readonly LedgerLine[]
  /** What is in the dead-letter stream, and what was in it when somebody deleted it. */
  readonly letters: readonly CollectedLetter[]
  /** Ids of jobs whose dead letter a supervisor logged; the record itself may have gone with its stream. */
  readonly saidDead: ReadonlySet<string>
  /** What supervisors logged of a job: no evidence, but a help to whoever looks at a finding. */
  told(id: string): readonly Told[]
  /** What supervisors logged that is about no job, in this time; for the same reader. */
  said(from: number, to: number): readonly Told[]
  readonly strikes: readonly Strike[]
  readonly lives: readonly ProcessLife[]
  readonly counted: readonly Counted[]
  /** What the broker still has of jobs, in words; empty when it has nothing. */
  readonly leftovers: readonly string[]
  /** Messages of jobs that have ended, which a broker that was killed shows again. */
  readonly stranded: number
}
