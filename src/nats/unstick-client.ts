import type { Socket } from 'node:net'
import type { NatsConnection } from '@nats-io/transport-node'

/**
 * Parts of the client that it does not declare. With a version that lacks them nothing is unstuck, and
 * `connection.test.ts` fails.
 */
interface Undeclared {
  readonly protocol?: {
    readonly transport?: { readonly socket?: Socket }
    readonly servers?: { getServers?(): { lastConnect: number }[] }
  }
}

const partsOf = (nc: NatsConnection) => (nc as unknown as Undeclared).protocol

/** What the client still wants to send to a server that it leaves has so long. */
const partingMs = 500

/**
 * Lets the client leave a server that it wants to leave. It waits until the kernel has taken its last bytes, and a
 * dead link whose buffers are full takes none: such a client would never connect again.
 */
export function letGo(nc: NatsConnection): void {
  const socket = partsOf(nc)?.transport?.socket
  setTimeout(() => socket?.destroy(), partingMs).unref()
}

/**
 * Lets the client dial although the clock of the machine was set back. It dials a server again when the clock is past
 * its last attempt, and would wait for as long as the clock was ahead.
 */
export function forgetAttemptsAhead(nc: NatsConnection): void {
  for (const server of partsOf(nc)?.servers?.getServers?.() ?? []) {
    if (server.lastConnect > Date.now()) server.lastConnect = 0
  }
}
