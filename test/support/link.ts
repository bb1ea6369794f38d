import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/**
 * What a link does with what it is given.
 *
 * `cut` closes what is connected and refuses what comes; `blackhole` swallows both directions without a word, closes
 * included; `to-server-lost` and `to-client-lost` swallow one direction. Swallowed bytes are held, as a sender's
 * kernel holds what nobody acknowledges, and go on when the link passes again, if both ends still want them.
 */
export type LinkMode = 'pass' | 'cut' | 'blackhole' | 'to-server-lost' | 'to-client-lost'

/** A network between a client and a server, as bad as a test wants it. */
export class Link {
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  /** Clients that came before it was known where they go. */
  readonly #early = new Set<Socket>()
  #target: { host: string; port: number } | undefined
  #mode: LinkMode = 'pass'
  #delayMs = 0

  private constructor(server: Server, target: { host: string; port: number } | undefined) {
    this.#server = server
    this.#target = target
    server.on('connection', (client) => this.#accept(client))
  }

  /**
   * A link to a server at this URL; clients connect to `url` instead. Without a URL they wait until `retarget` says
   * where they go.
   */
  static async to(serverUrl?: string): Promise<Link> {
    const server = createServer({ allowHalfOpen: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Link(server, serverUrl === undefined ? undefined : targetOf(serverUrl))
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get mode(): LinkMode {
    return this.#mode
  }

  /** Connections that are open at the client's end. */
  get connections(): number {
    return this.#pairs.size
  }

  set(mode: LinkMode): void {
    this.#mode = mode
    for (const pair of [...this.#pairs]) {
      if (mode === 'cut') pair.close()
      else pair.obey(mode)
    }
  }

  /** Where connections go that wait, and that come from now on. */
  retarget(serverUrl: string): void {
    this.#target = targetOf(serverUrl)
    for (const client of this.#early) this.#accept(client)
    this.#early.clear()
  }

  /** Every byte arrives so much later; 0 is at once. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs
    for (const pair of this.#pairs) pair.delayMs = delayMs
  }

  /** Ends what is connected with a TCP reset; what comes then is served. */
  reset(): void {
    for (const pair of [...this.#pairs]) pair.close(true)
  }

  /** What is connected now is dead without a word, for ever; what comes is served. */
  halfOpen(): void {
    for (const pair of this.#pairs) pair.forsake()
  }

  /** Sends the clients that are connected what their server has not said, whatever the mode. */
  inject(text: string): void {
    for (const pair of this.#pairs) pair.inject(text)
  }

  async close(): Promise<void> {
    this.#server.close()
    for (const client of this.#early) client.destroy()
    for (const pair of [...this.#pairs]) pair.close(true)
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    if (this.#mode === 'cut') {
      client.resetAndDestroy()
      return
    }
    if (this.#target === undefined) {
      client.on('error', () => this.#early.delete(client))
      this.#early.add(client)
      return
    }
    const pair = new Pair(client, connect({ ...this.#target, allowHalfOpen: true }), () =>
      this.#pairs.delete(pair),
    )
    this.#pairs.add(pair)
    pair.delayMs = this.#delayMs
    pair.obey(this.#mode)
  }
}

function targetOf(serverUrl: string): { host: string; port: number } {
  const { hostname, port } = new URL(serverUrl)
  return { host: hostname, port: Number(port) }
}

/** Makes a link that ends with the test. */
export async function linkTo(t: Pick<TestContext, 'after'>, serverUrl: string): Promise<Link> {
  const link = await Link.to(serverUrl)
  t.after(() => link.close())
  return link
}

/** One connection through a link: two sockets. */
class Pair {
  delayMs = 0
  readonly #flows: readonly Flow[]
  readonly #sockets: readonly Socket[]
  readonly #resetting = new Set<Socket>()
  readonly #gone: () => void
  #forsaken = false

  constructor(client: Socket, server: Socket, gone: () => void) {
    this.#sockets = [client, server]
    this.#gone = gone
    for (const socket of this.#sockets) socket.setNoDelay(true)
    const delayMs = (): number => this.delayMs
    const failed = (): void => this.close(true)
    this.#flows = [new Flow(client, server, delayMs, failed), new Flow(server, client, delayMs, failed)]
    client.on('close', () => {
      if (!this.#flows.some((flow) => flow.held)) this.close()
    })
    server.on('close', () => {
      if (!this.#flows.some((flow) => flow.held)) this.close()
    })
  }

  obey(mode: LinkMode): void {
    const [toServer, toClient] = this.#flows
    const both = mode === 'blackhole' || this.#forsaken
    toServer!.hold(both || mode === 'to-server-lost')
    toClient!.hold(both || mode === 'to-client-lost')
    if (mode === 'pass' && !this.#forsaken && this.#sockets.some((socket) => socket.destroyed)) this.close()
  }

  inject(text: string): void {
    this.#sockets[0]!.write(text)
  }

  forsake(): void {
    this.#forsaken = true
    this.obey('blackhole')
  }

  close(reset = false): void {
    for (const socket of this.#sockets) {
      if (socket.destroyed || this.#resetting.has(socket)) continue
      // Node resets a socket once its end is sent. One that is destroyed while its end is on its way and that was to be
      // reset is never closed, and a process with such a socket spins at its exit for ever.
      const isIdle = !socket.connecting && !socket.writableEnded && socket.writableLength === 0
      if (reset && isIdle) {
        this.#resetting.add(socket)
        socket.resetAndDestroy()
      } else socket.destroy()
    }
    this.#gone()
  }
}

/** One direction of a connection. */
class Flow {
  held = false
  readonly #from: Socket
  readonly #to: Socket
  readonly #delayMs: () => number
  #ended = false

  constructor(from: Socket, to: Socket, delayMs: () => number, failed: () => void) {
    this.#from = from
    this.#to = to
    this.#delayMs = delayMs
    from.on('data', (chunk) => this.#pass(() => to.write(chunk)))
    from.on('end', () => this.#pass(() => this.#end()))
    from.on('error', () => {
      if (!this.held) failed()
    })
  }

  hold(held: boolean): void {
    this.held = held
    if (held) this.#from.pause()
    else {
      this.#from.resume()
      if (this.#ended) this.#end()
    }
  }

  #end(): void {
    this.#ended = true
    if (!this.held && this.#to.writable) this.#to.end()
  }

  #pass(send: () => void): void {
    const delayMs = this.#delayMs()
    const sendNow = (): void => {
      if (this.#to.writable) send()
    }
    if (delayMs === 0) sendNow()
    else setTimeout(sendNow, delayMs)
  }
}
