import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { narrate, root, runMain, ScriptError } from './console.mjs'
import { setUp } from './setup.mjs'

const usage = `usage: npm run bench -- [scenario]... [options]

  npm run bench                      everything: a warm-up round and 5 measured ones
  npm run bench -- --quick           a second or two for each scenario, to see that it works
  npm run bench -- drain --rounds 9  one scenario, more rounds

  --jobs N        jobs of a drain that count (100000)
  --rounds N      measured rounds (5)
  --threads N     threads of the supervisor (2)
  --server PATH   the nats-server to run
  --json FILE     write the environment and every run there
  --profile DIR   write a CPU profile of every process under test there; numbers then mean little`

await runMain(async () => {
  const { values, positionals } = readArguments()
  const quick = values.quick
  const options = {
    quick,
    warmUp: !quick,
    rounds: wholeNumber('rounds', values.rounds, quick ? 1 : 5),
    jobs: wholeNumber('jobs', values.jobs, quick ? 20_000 : 100_000),
    threads: wholeNumber('threads', values.threads, 2),
    only: positionals,
    profileDir: values.profile && path.resolve(values.profile),
  }
  if (values.server !== undefined) process.env['MILLRACE_NATS_SERVER'] = path.resolve(values.server)
  const server = await setUp()
  const { runBench } = await import('../build/bench/main.js')
  const { layOut, tableOf } = await import('../build/bench/report/table.js')

  const interruption = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, () => interruption.abort())
  const results = await runBench({
    ...options,
    binary: server.path,
    signal: interruption.signal,
    narrate: (line) => process.stderr.write(`${line}\n`),
  })
  for (const result of results) {
    process.stdout.write(`\n${result.scenario.title}\n\n${layOut(tableOf(result))}\n`)
  }
  if (values.json !== undefined) {
    writeFileSync(path.resolve(values.json), `${JSON.stringify(results, null, 2)}\n`)
    narrate(`wrote ${path.relative(root, path.resolve(values.json))}`)
  }
})

function readArguments() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        jobs: { type: 'string' },
        rounds: { type: 'string' },
        threads: { type: 'string' },
        server: { type: 'string' },
        json: { type: 'string' },
        profile: { type: 'string' },
      },
      allowPositionals: true,
    })
  } catch (error) {
    throw new ScriptError(`${error.message}\n\n${usage}`)
  }
}

function wholeNumber(name, text, otherwise) {
  if (text === undefined) return otherwise
  const number = Number(text)
  if (Number.isSafeInteger(number) && number > 0) return number
  throw new ScriptError(`--${name} must be a whole number above 0, got ${text}\n\n${usage}`)
}
