/** What the jobs of all contestants do: the same code, whoever calls it. */
import { pbkdf2Sync } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { JobRecord } from './records.ts'

/** How long a job waits that stands for one request to something else. */
export const pauseMs = 20
/** How long a small job waits. */
export const smallMs = 5
/** How long a job computes. */
export const burnMs = 5
/** Holds how many iterations take that long. */
export const burnVariable = 'BENCH_BURN_ROUNDS'

/** The payload that all work understands. */
export type WorkPayload = { readonly n: number; readonly at?: number }

/** One kind of work. */
export type Work = (payload: WorkPayload) => void | Promise<void>

/** Each kind by its name, made at first use: a record takes memory. */
export const works: Readonly<Record<string, () => Work>> = {
  // Nothing but to note that it ran.
  noop: () => {
    const record = new JobRecord('noop')
    return ({ n }) => record.ran(n)
  },
  // Fails at its first attempt.
  flaky: () => {
    const record = new JobRecord('flaky')
    const failed = new Set<number>()
    return ({ n }) => {
      record.ran(n)
      if (failed.delete(n)) return
      failed.add(n)
      throw new Error('the first attempt fails')
    }
  },
  // Notes how long it took until it started; the instant itself for a job that does not say when it was sent.
  stamp: () => {
    const record = new JobRecord('stamp')
    return ({ n, at }) => record.late(n, at ?? 0)
  },
  burn: () => {
    const record = new JobRecord('burn')
    return ({ n }) => {
      burn(Number(process.env[burnVariable]))
      record.ran(n)
    }
  },
  pause: () => {
    const record = new JobRecord('pause')
    return async ({ n }) => {
      await wait(pauseMs)
      record.ran(n)
    }
  },
  // Notes how much later it ended than it could have; the instant itself for a job that does not say when it was sent.
  small: () => {
    const record = new JobRecord('small')
    return async ({ n, at }) => {
      await wait(smallMs)
      record.late(n, (at ?? 0) + smallMs)
    }
  },
}

/** Computes. Iterations of one hash take the same time in every compiler tier, unlike a loop of ours. */
export function burn(rounds: number): void {
  pbkdf2Sync('millrace', 'bench', rounds, 32, 'sha256')
}
