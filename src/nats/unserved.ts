import { JetStreamApiError } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'

/** What is asked of has no leader, or every server that it is on is away. */
const codes = [10008, 10118, 10119]
/** So soon the leader of a consumer answers; before 2.10 nobody says that there is none. */
const leaderMs = 250
/** So soon the leader of a cluster answers; nobody does while it is lost and not missed yet. */
const namesMs = 1_000
/** No server can read it, so that a leader refuses it; what is not JSON at all would be a pull of one job. */
const unreadable = '{'

/** Whether the server answered that nobody serves what it was asked of. */
export function isUnserved(error: unknown): error is JetStreamApiError {
  return error instanceof JetStreamApiError && codes.includes(error.code)
}

/**
 * Whether somebody leads a consumer that a server calls unserved. Any server in its group that knows no leader says so
 * at once, and whoever is connected to that one never hears the leader: on 2.9.10 for minutes, when it has fallen behind
 * because it was started anew while the consumer was made. Only a leader hears pulls.
 */
export async function hasLeader(nc: NatsConnection, stream: string, consumer: string): Promise<boolean> {
  const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`
  return nc.request(subject, unreadable, { timeout: leaderMs }).then(
    ({ headers }) => headers?.code === 400,
    () => false,
  )
}

/**
 * The names of a stream's consumers, as the leader of the cluster knows them; undefined when nobody can say. A server
 * that calls a consumer unserved may be the only one that has it still, seen on 2.9.10 when servers were started anew
 * while it was made.
 */
export async function consumerNames(
  nc: NatsConnection,
  stream: string,
): Promise<ReadonlySet<string> | undefined> {
  const subject = `$JS.API.CONSUMER.NAMES.${stream}`
  const names = new Set<string>()
  try {
    for (let offset = 0; ; ) {
      const answer = await nc.request(subject, JSON.stringify({ offset }), { timeout: namesMs })
      const { consumers, total, error } = answer.json<NamesAnswer>()
      if (error !== undefined) return undefined
      for (const name of consumers ?? []) names.add(name)
      offset += consumers?.length ?? 0
      if (!consumers?.length || offset >= total) return names
    }
  } catch {
    return undefined
  }
}

interface NamesAnswer {
  readonly consumers: readonly string[] | null
  readonly total: number
  readonly error?: unknown
}
