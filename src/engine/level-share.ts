import type { Priority } from '../core/names.ts'

/** After so many high jobs in a row a lower one is next. */
export const highInARow = 4
/** After so many jobs that were not low a low one is next. */
export const notLowInARow = 9

const byPriority: readonly Priority[] = ['high', 'normal', 'low']
const lowerFirst: readonly Priority[] = ['normal', 'low', 'high']
const lowFirst: readonly Priority[] = ['low', 'high', 'normal']
const lowestFirst: readonly Priority[] = ['low', 'normal', 'high']

/**
 * Whose turn it is: the higher priority's, except for a minimum share of the lower ones.
 *
 * 1. High jobs go before normal ones, and normal ones before low ones.
 * 2. After 4 high jobs past a job that is not high, the next one is not high: normal if there is one, else low.
 * 3. After 9 other jobs past a low one, the next one is low.
 *
 * So while all three wait, of ten jobs eight are high, one is normal and one is low. Only jobs that a lower
 * one had to wait for are counted: whoever has waited for nobody has no claim.
 */
export class LevelShare {
  #highPassed = 0
  #othersPassed = 0

  /** The priorities in the order in which they are to be looked at for the next job. */
  get order(): readonly Priority[] {
    const highRests = this.#highPassed >= highInARow
    if (this.#othersPassed >= notLowInARow) return highRests ? lowestFirst : lowFirst
    return highRests ? lowerFirst : byPriority
  }

  /** It is this one's turn by its share, whatever of a higher priority there is. */
  isDue(priority: Priority): boolean {
    if (priority === 'high') return false
    return this.#highPassed >= highInARow || (priority === 'low' && this.#othersPassed >= notLowInARow)
  }

  /** A job was taken; `normal` and `low` say whether any of these still wait. */
  took(priority: Priority, normal: boolean, low: boolean): void {
    this.#highPassed = priority === 'high' && (normal || low) ? this.#highPassed + 1 : 0
    this.#othersPassed = priority !== 'low' && low ? this.#othersPassed + 1 : 0
  }
}
