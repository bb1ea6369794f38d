/**
 * Takes and acks jobs without a client: `node raw-loop.js <url> <handler>`. Prints a line when it is up.
 *
 * The least work that the protocol allows (https://docs.nats.io/reference/reference-protocols/nats-protocol
 * and https://docs.nats.io/reference/reference-protocols/nats_api_reference): headers and payloads are
 * skipped by their lengths, nothing is allocated for a job but its reply subject, and the acks of one
 * read of the socket are one write. Two pulls are under way, so that the next is there when one is used up.
 */
import { connect } from 'node:net'
import { jobStream } from '../stage/stage.ts'

const [url, handler] = process.argv.slice(2)
const pullSize = 500
const inbox = '_INBOX.raw'
const space = 0x20
const lineEnd = Buffer.from('\r\n')
const pull = request(
  `$JS.API.CONSUMER.MSG.NEXT.${jobStream}.${handler}`,
  inbox,
  JSON.stringify({ batch: pullSize }),
)

process.once('SIGTERM', () => process.exit(0))
const socket = connect(Number(new URL(url!).port), '127.0.0.1')
socket.setNoDelay(true)
let rest: Buffer = Buffer.alloc(0)
let taken = 0

socket.on('data', (chunk: Buffer) => {
  rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
  let answer = ''
  let at = 0
  for (;;) {
    const end = rest.indexOf(lineEnd, at)
    if (end === -1) break
    const first = rest[at]!
    // MSG and HMSG; the other lines of a server are INFO, PING, +OK and -ERR.
    if (first !== 0x4d && first !== 0x48) {
      answer += answerLine(rest.toString('latin1', at, end))
      at = end + 2
      continue
    }
    const lengthAt = rest.lastIndexOf(space, end) + 1
    const next = end + 2 + Number(rest.toString('latin1', lengthAt, end)) + 2
    if (next > rest.length) break
    // MSG <subject> <sid> <reply> <length>, HMSG <subject> <sid> <reply> <header length> <length>
    const fields = rest.toString('latin1', at, end).split(' ')
    if (fields.length < (first === 0x4d ? 5 : 6))
      throw new Error(`a pull ended: ${rest.toString('latin1', at, next)}`)
    answer += `PUB ${fields[3]} 0\r\n\r\n`
    taken += 1
    if (taken % pullSize === 0) answer += pull
    at = next
  }
  rest = rest.subarray(at)
  if (answer !== '') socket.write(answer, 'latin1')
})

/** What a line of the server other than a message asks for. */
function answerLine(line: string): string {
  if (line.startsWith('PING')) return 'PONG\r\n'
  if (line.startsWith('-ERR')) throw new Error(line)
  if (!line.startsWith('INFO') || taken > 0) return ''
  process.stdout.write('ready\n')
  return `CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB ${inbox} 1\r\n${pull}${pull}`
}

function request(subject: string, reply: string, body: string): string {
  return `PUB ${subject} ${reply} ${body.length}\r\n${body}\r\n`
}
