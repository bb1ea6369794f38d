import { parseArgs } from 'node:util'
import { narrate, runMain, ScriptError } from './console.mjs'
import { setUp } from './setup.mjs'

const usage = `usage: npm run demo [-- --keep]

  --keep   stay up when the jobs are done, and print where to look`

await runMain(async () => {
  const keep = readKeep()
  const server = await setUp()
  if (process.env['NATS_URL']) {
    narrate('NATS_URL is left alone: the demo publishes broken jobs, so it uses a server of its own')
  }
  const { runDemo } = await import('../build/demo/main.js')

  const interruption = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, () => interruption.abort())
  await runDemo({ binary: server.path, keep, signal: interruption.signal })
})

function readKeep() {
  try {
    return parseArgs({ options: { keep: { type: 'boolean', default: false } } }).values.keep
  } catch (error) {
    throw new ScriptError(`${error.message}\n\n${usage}`)
  }
}
