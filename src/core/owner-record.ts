/** How a handler whose jobs have keys stands: who takes its jobs. */
export interface OwnerRecord {
  /** The id of a supervisor. */
  readonly supervisor: string
  /**
   * `held`: this supervisor takes them. `released`: it stopped, and the next one may have them at once.
   * `over`: there were no keys for long, so that every supervisor takes them again.
   */
  readonly state: OwnerState
}

const states = ['held', 'released', 'over'] as const
export type OwnerState = (typeof states)[number]

export function encodeOwner(record: OwnerRecord): string {
  return JSON.stringify(record)
}

/** Undefined when nobody owns it. A value that cannot be read is taken for an owner that never renews. */
export function decodeOwner(value: string | undefined): OwnerRecord | undefined {
  if (value === undefined) return undefined
  try {
    const { supervisor, state } = JSON.parse(value) as Partial<OwnerRecord>
    if (typeof supervisor === 'string' && state && states.includes(state)) return { supervisor, state }
  } catch {
    // Not ours, and not JSON.
  }
  return { supervisor: '', state: 'held' }
}
