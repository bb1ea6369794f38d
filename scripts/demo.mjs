import { parseArgs } from 'node:util'
import { narrate, runMain, ScriptError } from './console.mjs'
import { setUp } from './setup.mjs'

const usage = `usage: npm run demo [-- --keep]

  --keep   stay up when the jobs are done, and print where to look`

const sameSignalMs = 500

await runMain(async () => {
  const keep = readKeep()
  const server = await setUp()
  if (process.env['NATS_URL']) {
    narrate('NATS_URL is left alone: the demo publishes broken jobs, so it uses a server of its own')
  }
  const { runDemo } = await import('../build/demo/main.js')

  await runDemo({ binary: server.path, keep, signal: listenForSignals() })
})

/** Aborts at the first signal; a later one ends this process at once, and the keepers end the rest. */
function listenForSignals() {
  const interruption = new AbortController()
  let firstAt
  const onSignal = () => {
    firstAt ??= Date.now()
    interruption.abort()
    // npm hands the terminal's signal on, so that one Ctrl-C arrives twice.
    if (Date.now() - firstAt > sameSignalMs) process.exit(130)
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, onSignal)
  return interruption.signal
}

function readKeep() {
  try {
    return parseArgs({ options: { keep: { type: 'boolean', default: false } } }).values.keep
  } catch (error) {
    throw new ScriptError(`${error.message}\n\n${usage}`)
  }
}
