import type { JetStreamManager } from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import type { BrokerConnection } from './connection.ts'

const everyMs = 2_000
/** The members of a cluster hear from each other every second. */
const deafMs = 3_000

/**
 * Notices that the server we are connected to is cut off from the rest of its cluster.
 *
 * It goes on answering for some ten seconds, and its pulls bring nothing, while the others have long agreed on
 * another leader. But it says since when it has heard from none of them, so it is asked, and left. Nothing is asked of
 * a single server.
 * Source: the `active` times of the replicas in the server's stream info, seen on 2.9.10 and 2.15.1.
 */
export class IsolationWatch {
  readonly #connection: BrokerConnection
  readonly #jsm: JetStreamManager
  readonly #stream: string
  readonly #unanswered: () => void
  #timer: NodeJS.Timeout | undefined

  /** @param unanswered - there is trouble of whatever kind. */
  constructor(connection: BrokerConnection, jsm: JetStreamManager, stream: string, unanswered: () => void) {
    this.#connection = connection
    this.#jsm = jsm
    this.#stream = stream
    this.#unanswered = unanswered
  }

  start(): void {
    this.#timer = setTimeout(() => void this.#ask(), everyMs)
    this.#timer.unref()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  async #ask(): Promise<void> {
    const { connected, nc, epoch } = this.#connection
    if (connected && nc.info?.cluster !== undefined) {
      try {
        const { cluster } = await this.#jsm.streams.info(this.#stream)
        const replicas = cluster?.replicas ?? []
        const isDeaf = replicas.length > 0 && replicas.every(({ active }) => active > nanos(deafMs))
        if (isDeaf && this.#connection.epoch === epoch)
          this.#connection.moveOn('it is cut off from the others of its cluster')
      } catch {
        this.#unanswered()
      }
    }
    if (this.#timer) this.start()
  }
}
