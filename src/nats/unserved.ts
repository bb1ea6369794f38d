import { JetStreamApiError } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'

/** What is asked of has no leader, or every server that it is on is away. */
const codes = [10008, 10118, 10119]
/** So soon the leader of a consumer answers; before 2.10 nobody says that there is none. */
const leaderMs = 250
/** No server can read it, so that a leader refuses it; what is not JSON at all would be a pull of one job. */
const unreadable = '{'

/** Whether the server answered that nobody serves what it was asked of. */
export function isUnserved(error: unknown): error is JetStreamApiError {
  return error instanceof JetStreamApiError && codes.includes(error.code)
}

/**
 * What is true of a consumer that a server calls unserved. Any server in its group that knows no leader of it says so
 * at once, so that whoever is connected to that one never hears the leader. On 2.9.10 there may be one for minutes
 * after servers were started anew while consumers were made: it has fallen behind, or it alone still has a consumer
 * that the others have forgotten.
 *
 * @returns `served` when a leader answers for it, `forgotten` when the cluster does not know it by name and it has to
 *   be made, `unserved` when the server was right, or nobody can say.
 */
export async function whoServes(
  nc: NatsConnection,
  stream: string,
  consumer: string,
): Promise<'served' | 'forgotten' | 'unserved'> {
  if (await hasLeader(nc, stream, consumer)) return 'served'
  return (await isKnown(nc, stream, consumer)) ? 'unserved' : 'forgotten'
}

/** Only a leader hears pulls. */
async function hasLeader(nc: NatsConnection, stream: string, consumer: string): Promise<boolean> {
  const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`
  return nc.request(subject, unreadable, { timeout: leaderMs }).then(
    ({ headers }) => headers?.code === 400,
    () => false,
  )
}

/** The leader of the cluster knows the names; a consumer is known until somebody can say that it is not. */
async function isKnown(nc: NatsConnection, stream: string, consumer: string): Promise<boolean> {
  try {
    for (let offset = 0; ; ) {
      const answer = await nc.request(`$JS.API.CONSUMER.NAMES.${stream}`, JSON.stringify({ offset }))
      const { consumers, total, error } = answer.json<NamesAnswer>()
      if (error !== undefined || consumers?.includes(consumer)) return true
      offset += consumers?.length ?? 0
      if (!consumers?.length || offset >= total) return false
    }
  } catch {
    return true
  }
}

interface NamesAnswer {
  readonly consumers: readonly string[] | null
  readonly total: number
  readonly error?: unknown
}
