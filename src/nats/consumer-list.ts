import { type ConsumerInfo, JetStreamApiError } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'

/** How long a list may take: a cluster waits 4 s for those that have no leader before it lists the others. */
export const listMs = 6_000
const pageSize = 256

/** The consumers of a stream. */
export interface ConsumerList {
  readonly served: readonly ConsumerInfo[]
  /** Names of those that have no leader, or whose servers are all away. */
  readonly unserved: readonly string[]
}

/**
 * Lists all consumers of a stream. The client's own list leaves out the unserved ones without a word, and a cluster of
 * 2.9 ends it with its first page, of whose length it makes the total. In a cluster a stream that is missing has none.
 *
 * @throws {JetStreamApiError} when there is no such stream, or nobody leads the cluster.
 * @throws {Error} when there is no answer.
 */
export async function listConsumers(nc: NatsConnection, stream: string): Promise<ConsumerList> {
  const served: ConsumerInfo[] = []
  const unserved: string[] = []
  for (let offset = 0; ; ) {
    const request = JSON.stringify({ offset })
    const answer = await nc.request(`$JS.API.CONSUMER.LIST.${stream}`, request, { timeout: listMs })
    const { consumers, missing = [], error } = answer.json<ListAnswer>()
    if (error) throw new JetStreamApiError(error)
    // Some servers list those whose servers are away among the others, too, and without a name.
    const found = (consumers ?? []).filter(({ name }) => name && !missing.includes(name))
    served.push(...found)
    unserved.push(...missing)
    offset += found.length + missing.length
    if (found.length + missing.length < pageSize) return { served, unserved }
  }
}

interface ListAnswer {
  readonly consumers: readonly ConsumerInfo[] | null
  readonly missing?: readonly string[]
  readonly error?: ConstructorParameters<typeof JetStreamApiError>[0]
}
