import type { Socket } from 'node:net'
import type { NatsConnection } from '@nats-io/transport-node'

/** Undeclared parts of the client. */
interface Protocol {
  readonly parser: { parse(piece: Uint8Array): void }
  transport: Transport
}

/** Undeclared parts of one connection of the client. */
interface Transport {
  readonly socket?: Socket
  /** Begins to read. */
  setupHandlers(): void
}

type Read = (piece: Uint8Array) => void

/**
 * Has the client parse what its socket brings as soon as it comes, on this connection and all that follow it. By itself
 * it lets an iterator pass that on, for which, where little else happens, as many promises, closures and micro-tasks have
 * to be looked at as for the rest of a job's arrival. A version of the client that lacks what this needs reads by itself,
 * and `socket-reader.test.ts` fails.
 *
 * @param failed - told what the parser, or the callback of a subscription, threw. Nothing more is read from that socket, as
 *   the client has it, too; some seconds later it finds the connection stale and makes another one.
 */
export function readAtOnce(nc: NatsConnection, failed: (error: unknown) => void): void {
  const { protocol } = nc as unknown as { protocol?: Protocol }
  const first: Partial<Transport> | undefined = protocol?.transport
  if (typeof protocol?.parser?.parse !== 'function' || typeof first?.setupHandlers !== 'function') return
  let transport = protocol.transport
  const parserOf =
    (from: Transport): Read =>
    (piece) => {
      // One that has connected too late brings something, too, until the client lets go of it.
      if (from === transport) protocol.parser.parse(piece)
    }
  read(transport, parserOf(transport), failed)
  Object.defineProperty(protocol, 'transport', {
    get: () => transport,
    // It makes a new one for each connection.
    set: (anew: Transport) => {
      transport = anew
      const setUp = anew.setupHandlers.bind(anew)
      anew.setupHandlers = () => {
        setUp()
        read(anew, parserOf(anew), failed)
      }
    },
  })
}

/** Takes the place of the client's own listener. */
function read({ socket }: Transport, parse: Read, failed: (error: unknown) => void): void {
  const [listener, ...others] = socket?.listeners('data') ?? []
  if (!socket || !listener || others.length > 0) return
  const waiting: Uint8Array[] = []
  const receive: Read = (piece) => {
    waiting.push(piece)
    // A write to a socket with TLS can make it bring the next piece while this one is parsed.
    if (waiting.length > 1) return
    try {
      for (let next: Uint8Array | undefined = piece; next; next = waiting[0]) {
        parse(next)
        waiting.shift()
      }
    } catch (error) {
      socket.off('data', receive)
      failed(error)
    }
  }
  socket.off('data', listener as Read)
  socket.on('data', receive)
}
