/**
 * The process between us and a local nats-server: `node keeper.js <scratch dir or ""> <binary> <arguments…>`.
 *
 * 1. Starts the server, whose output goes to this process's stderr, and writes the server's
 *    process id as one line on stdout.
 * 2. Reads stdin. Its end means that the parent is gone, however it died: SIGTERM to the server,
 *    SIGKILL after {@link killAfterMs}. The line `stop` before the end means that the parent still
 *    lives and cleans up itself; otherwise the scratch dir is removed here.
 * 3. Ends when the server ends, with its exit code.
 *
 * It runs in a session of its own, so that Ctrl-C in a terminal reaches the parent only.
 */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'

const killAfterMs = 5_000

const [scratchDir, binary, ...serverArgs] = process.argv.slice(2)
if (scratchDir === undefined || binary === undefined) {
  process.stderr.write('usage: keeper <scratch dir or ""> <binary> [arguments]\n')
  process.exit(64)
}

const server = spawn(binary, serverArgs, { stdio: ['ignore', 2, 2] })
let parentLives = true

// A parent that is gone closes our stdout; that must not keep us from ending the server.
process.stdout.on('error', () => {})
server.once('spawn', () => process.stdout.write(`${server.pid}\n`))
server.once('error', (error) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(70)
})
server.once('exit', (code, signal) => {
  if (!parentLives && scratchDir !== '') rmSync(scratchDir, { recursive: true, force: true })
  if (signal !== null) process.stderr.write(`nats-server was ended by ${signal}\n`)
  process.exit(code ?? 1)
})

let orders = ''
process.stdin.setEncoding('utf8')
process.stdin.on('data', (text: string) => {
  orders += text
})
process.stdin.once('end', () => {
  parentLives = orders.includes('stop\n')
  endServer()
})
process.on('SIGTERM', endServer)
process.on('SIGINT', endServer)

function endServer(): void {
  server.kill('SIGTERM')
  // A server that somebody stopped with SIGSTOP would never see the first signal.
  server.kill('SIGCONT')
  setTimeout(() => server.kill('SIGKILL'), killAfterMs)
}
