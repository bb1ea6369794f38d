import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'

/** How far it goes ahead of the answers, and what each job has of its own. */
export type RawPublisherOptions = {
  /** Jobs that may be under way at once. */
  readonly ahead: number
  /** An id for each job, for which the server then has to look and which it has to keep. @default false */
  readonly withIds?: boolean
  /** A reply subject for each job, for which the server then has to find who listens. @default one for all */
  readonly withReplies?: boolean
}

/**
 * Publishes to JetStream without a client: a job costs a line and its payload, and an answer is counted, not matched.
 * What no client can be faster than.
 */
export async function openRawPublisher(
  url: string,
  subject: string,
  { ahead, withIds = false, withReplies = false }: RawPublisherOptions,
) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'data')
  const inbox = '_INBOX.raw'
  socket.write(`CONNECT {"verbose":false,"headers":true}\r\nSUB ${withReplies ? `${inbox}.*` : inbox} 1\r\n`)
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
  const textOf = (n: number, payload: string) => {
    const reply = withReplies ? `${inbox}.${n}` : inbox
    if (!withIds) return `PUB ${subject} ${reply} ${payload.length}\r\n${payload}\r\n`
    const block = `NATS/1.0\r\nNats-Msg-Id: ${randomUUID()}\r\n\r\n`
    return `HPUB ${subject} ${reply} ${block.length} ${block.length + payload.length}\r\n${block}${payload}\r\n`
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
        for (; n < end; n += 1) text += textOf(n, payloadOf(n))
        if (text !== '') socket.write(text, 'latin1')
        await answered()
      }
    },
  }
}
