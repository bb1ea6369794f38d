import { runMain } from './console.mjs'
import { setUp } from './setup.mjs'

// `millrace dev` of a clone that may have been made a moment ago; takes the same options.
await runMain(async () => {
  await setUp()
  process.argv.splice(2, 0, 'dev')
  await import('../dist/cli/main.js')
})
