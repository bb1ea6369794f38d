import { Client } from '../client/client.ts'
import { MillraceError } from '../core/errors.ts'
import { namesFor } from '../core/names.ts'
import type { AdminAction, AdminActions } from '../http/admin.ts'
import { ClientBroker } from '../nats/client-broker.ts'
import type { BrokerConnection } from '../nats/connection.ts'

/** Shorter than the time that most who ask over HTTP wait for an answer. */
const requestMs = 4_000

/** What an operator's wish needs of a supervisor. */
export interface OperatorParts {
  readonly namespace: string
  readonly supervisorId: string
  /** Undefined before the broker was found. */
  connection(): BrokerConnection | undefined
  /** Undefined before the handlers were looked at. */
  handlers(): readonly string[] | undefined
}

/** Does what is asked for over HTTP: the same as the command line, over the supervisor's own connection. */
export class Operator implements AdminActions {
  readonly #parts: OperatorParts

  constructor(parts: OperatorParts) {
    this.#parts = parts
  }

  handlers(): readonly string[] | undefined {
    return this.#parts.handlers()
  }

  async act(action: AdminAction, target: string, remote: string): Promise<void> {
    const client = await this.#client(`${remote} over HTTP at supervisor ${this.#parts.supervisorId}`)
    try {
      if (action === 'pause') await client.pause(target)
      else if (action === 'resume') await client.resume(target)
      else await client.cancel(target)
    } finally {
      await client.close()
    }
  }

  async #client(name: string): Promise<Client> {
    const connection = this.#parts.connection()
    // What is sent without a connection waits for one, and is dropped when there is one.
    if (!connection?.connected) {
      throw new MillraceError(
        'broker_unreachable',
        'this supervisor is not connected to NATS; try again, or use the command line elsewhere',
      )
    }
    const names = namesFor(this.#parts.namespace)
    const broker = await ClientBroker.open(connection.nc, names)
    return new Client({ broker, names, name, requestMs, close: async () => broker.release() })
  }
}
