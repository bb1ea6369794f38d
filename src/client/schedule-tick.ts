/** The newest tick of a schedule. */
export interface ScheduleTick {
  readonly schedule: string
  /** The handler of its jobs; undefined when the record does not say, and then it has the schedule's name. */
  readonly handler: string | undefined
  /** The instant that it stands for; undefined when the record cannot be read. */
  readonly at: Date | undefined
  /** How far its job is, in the record's own word. */
  readonly state: string | undefined
  /** The body of its jobs, JSON; undefined for an empty one, and when the record does not say. */
  readonly payload: string | undefined
  /** Whether the record says what the payload is: those of older versions and those with a long one do not. */
  readonly payloadKnown: boolean
}

/** Reads a record of the stream of ticks. */
export function readTick(schedule: string, text: string): ScheduleTick {
  let record: Record<string, unknown> | null = null
  try {
    record = JSON.parse(text) as Record<string, unknown> | null
  } catch {
    // A record that somebody else wrote is shown by its name only.
  }
  const { instant, state, handler, payload } = record ?? {}
  const at = typeof instant === 'string' || typeof instant === 'number' ? new Date(instant) : undefined
  return {
    schedule,
    handler: typeof handler === 'string' ? handler : undefined,
    at: at && !Number.isNaN(at.getTime()) ? at : undefined,
    state: typeof state === 'string' ? state : undefined,
    payload: typeof payload === 'string' ? payload : undefined,
    payloadKnown: typeof payload === 'string' || payload === null,
  }
}
