/**
 * The process between us and one that must not outlive us, such as a local nats-server:
 * `node keeper.js <scratch dir or ""> <binary> <arguments…>`.
 *
 * 1. Starts the binary, whose output goes to this process's stderr, and writes its process id as
 *    one line on stdout.
 * 2. Reads stdin. Its end means that the parent is gone, however it died: SIGTERM to the child,
 *    SIGKILL after {@link killAfterMs}. The line `stop` before the end means that the parent still
 *    lives and cleans up itself; otherwise the scratch dir is removed here.
 * 3. Ends when the child ends, with its exit code.
 *
 * It runs in a session of its own, so that Ctrl-C in a terminal reaches the parent only.
 */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'

const killAfterMs = 5_000

const [scratchDir, binary, ...args] = process.argv.slice(2)
if (scratchDir === undefined || binary === undefined) {
  process.stderr.write('usage: keeper <scratch dir or ""> <binary> [arguments]\n')
  process.exit(64)
}

const child = spawn(binary, args, { stdio: ['ignore', 2, 2] })
let parentLives = true

// A parent that is gone closes our stdout; that must not keep us from ending the child.
process.stdout.on('error', () => {})
child.once('spawn', () => process.stdout.write(`${child.pid}\n`))
child.once('error', (error) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(70)
})
child.once('exit', (code, signal) => {
  if (!parentLives && scratchDir !== '') rmSync(scratchDir, { recursive: true, force: true })
  if (signal !== null) process.stderr.write(`${binary} was ended by ${signal}\n`)
  process.exit(code ?? 1)
})

let orders = ''
process.stdin.setEncoding('utf8')
process.stdin.on('data', (text: string) => {
  orders += text
})
process.stdin.once('end', () => {
  parentLives = orders.includes('stop\n')
  endChild()
})
process.on('SIGTERM', endChild)
process.on('SIGINT', endChild)

function endChild(): void {
  child.kill('SIGTERM')
  // A process that somebody stopped with SIGSTOP would never see the first signal.
  child.kill('SIGCONT')
  setTimeout(() => child.kill('SIGKILL'), killAfterMs)
}
