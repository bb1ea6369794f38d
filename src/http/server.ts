import { createServer } from 'node:http'
export async function createHttpServer(o: {
  host: string
  port: number
  ready: () => string[]
  metrics: () => Promise<{ contentType: string; body: string }>
}) {
  const s = createServer(async (q, r) => {
    if (q.url === '/healthz') r.end('{"status":"ok"}')
    else if (q.url === '/readyz') {
      const x = o.ready()
      r.statusCode = x.length ? 503 : 200
      r.end(JSON.stringify({ ready: !x.length, reasons: x }))
    } else {
      const m = await o.metrics()
      r.setHeader('content-type', m.contentType)
      r.end(m.body)
    }
  })
  await new Promise<void>((y) => s.listen(o.port, o.host, y))
  const a = s.address() as { port: number }
  return {
    url: `http://${o.host}:${a.port}`,
    close: async () => {
      s.closeAllConnections()
      s.close()
    },
  }
}
