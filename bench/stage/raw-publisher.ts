import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'

/**
 * Publishes to JetStream without a client: every message has one reply subject, so that a job costs a
 * line and its payload, and an answer is counted, not matched. What no client can be faster than.
 *
 * @param ahead - jobs that may be under way at once.
 * @param withIds - gives each job an id, for which the server then has to look and which it has to keep.
 */
export async function openRawPublisher(url: string, subject: string, ahead: number, withIds: boolean) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'data')
  const inbox = '_INBOX.raw'
  socket.write(`CONNECT {"verbose":false,"headers":true}\r\nSUB ${inbox} 1\r\n`)
  let answers = 0
  let goOn = () => {}
  let failure: Error | undefined
  let rest = ''
  socket.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('latin1')).split('\r\n')
    rest = lines.pop()!
    for (const line of lines) {
      // The body of an answer; the lines before it say where it goes to.
      if (line.startsWith('{"stream"')) answers += 1
      else if (line.startsWith('PING')) socket.write('PONG\r\n')
      else if (line.startsWith('{') || line.startsWith('-ERR')) failure = new Error(line)
    }
    goOn()
  })
  const textOf = (payload: string) => {
    if (!withIds) return `PUB ${subject} ${inbox} ${payload.length}\r\n${payload}\r\n`
    const block = `NATS/1.0\r\nNats-Msg-Id: ${randomUUID()}\r\n\r\n`
    return `HPUB ${subject} ${inbox} ${block.length} ${block.length + payload.length}\r\n${block}${payload}\r\n`
  }
  const answered = () =>
    new Promise<void>((resolve) => {
      goOn = resolve
    })

  return {
    /** Publishes jobs `from` to `to` - 1 and resolves when the server has stored all of them. */
    async publish(from: number, to: number, payloadOf: (n: number) => string): Promise<void> {
      const offset = from - answers
      for (let n = from; answers + offset < to; ) {
        if (failure) throw failure
        const end = Math.min(to, answers + offset + ahead)
        let text = ''
        for (; n < end; n += 1) text += textOf(payloadOf(n))
        if (text !== '') socket.write(text, 'latin1')
        await answered()
      }
    },
  }
}
