import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A receiver of webhooks on 127.0.0.1. */
export type WebhookReceiver = { readonly url: string; stop(): void }

/**
 * Answers as receivers do: `/flaky/<n>` is overloaded (503, with `Retry-After`) the first time and
 * fine the second, `/gone` is 404 for ever, everything else is 200.
 */
export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const seen = new Set<string>()
  const server = createServer((request, response) => {
    const path = request.url ?? '/'
    request.resume()
    if (path === '/gone') {
      response.writeHead(404).end()
    } else if (path.startsWith('/flaky/') && !seen.has(path)) {
      seen.add(path)
      response.writeHead(503, { 'retry-after': '1' }).end()
    } else {
      response.end('thanks')
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop() {
      server.close()
      server.closeAllConnections()
    },
  }
}
