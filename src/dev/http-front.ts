import { MillraceError } from '../core/errors.ts'
import { createHttpServer, type HttpServer, type HttpServerOptions } from '../http/server.ts'

/**
 * One HTTP port for supervisors that replace each other: it shows the newest that is ready, or else the newest.
 *
 * The port is opened for the first of them and stays open until `close`.
 */
export class HttpFront {
  readonly #shown: HttpServerOptions[] = []
  #server: Promise<HttpServer> | undefined

  /** Takes the place of `createHttpServer` in a supervisor; closing what it answers takes that supervisor away. */
  readonly open = async (options: HttpServerOptions): Promise<HttpServer> => {
    this.#shown.push(options)
    this.#server ??= this.#listen(options)
    const server = this.#server
    const { url } = await server.catch((error: unknown) => {
      // The port may be free for the next.
      if (this.#server === server) this.#server = undefined
      this.#shown.splice(this.#shown.indexOf(options), 1)
      throw error
    })
    return {
      url,
      close: async () => {
        const index = this.#shown.indexOf(options)
        if (index >= 0) this.#shown.splice(index, 1)
      },
    }
  }

  /** `http://host:port`; undefined before the first supervisor, or without a port. */
  async url(): Promise<string | undefined> {
    return (await this.#server)?.url
  }

  /** Closes the port. */
  async close(): Promise<void> {
    const server = await this.#server?.catch(() => undefined)
    await server?.close()
  }

  #listen({ host, port, admin }: HttpServerOptions): Promise<HttpServer> {
    return createHttpServer({
      host,
      port,
      ready: () => this.#current?.ready() ?? ['no handler'],
      metrics: async () => this.#current?.metrics() ?? { contentType: 'text/plain', body: '' },
      onError: (error) => this.#current?.onError?.(error),
      ...(admin && {
        admin: {
          token: admin.token,
          actions: {
            handlers: () => this.#current?.admin?.actions.handlers(),
            act: async (...wish) => {
              const actions = this.#current?.admin?.actions
              if (!actions)
                throw new MillraceError('broker_unreachable', 'no supervisor runs, for want of a handler')
              await actions.act(...wish)
            },
          },
          onRecord: (record) => this.#current?.admin?.onRecord(record),
        },
      }),
    })
  }

  get #current(): HttpServerOptions | undefined {
    return this.#shown.findLast(({ ready }) => ready().length === 0) ?? this.#shown.at(-1)
  }
}
