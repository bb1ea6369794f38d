import { mkdirSync, writeFileSync } from 'node:fs'
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
  --write-docs    write docs/benchmarks.md; needs all scenarios and 5 rounds or more
  --profile DIR   write a CPU profile of every process under test there; numbers then mean little`

const docsFile = path.join('docs', 'benchmarks.md')
const leastRounds = 5

await runMain(async () => {
  const options = readArguments()
  if (options.server !== undefined) process.env['MILLRACE_NATS_SERVER'] = options.server
  const server = await setUp()
  const { runBench } = await import('../build/bench/main.js')
  const { describeEnvironment } = await import('../build/bench/report/environment.js')
  const { layOut, tableOf } = await import('../build/bench/report/table.js')
  const { toJson } = await import('../build/bench/report/json.js')
  const { toMarkdown } = await import('../build/bench/report/markdown.js')

  const environment = await describeEnvironment(server.path, commandLine())
  const results = await runBench({
    ...options,
    binary: server.path,
    narrate: (line) => process.stderr.write(`${line}\n`),
  })
  for (const result of results) {
    process.stdout.write(`\n${result.scenario.title}\n\n${layOut(tableOf(result))}\n`)
  }
  if (options.json !== undefined) writeReport(options.json, toJson(environment, results))
  if (options.writeDocs) writeReport(path.join(root, docsFile), toMarkdown(environment, results))
})

function readArguments() {
  const { values, positionals } = parse()
  const quick = values.quick
  const rounds = wholeNumber('rounds', values.rounds, quick ? 1 : 5)
  const writeDocs = values['write-docs']
  if (
    writeDocs &&
    (quick || positionals.length > 0 || values.profile !== undefined || rounds < leastRounds)
  ) {
    throw new ScriptError(
      `--write-docs needs every scenario, ${leastRounds} rounds or more, and neither --quick nor --profile`,
    )
  }
  return {
    quick,
    rounds,
    writeDocs,
    warmUp: !quick,
    jobs: wholeNumber('jobs', values.jobs, quick ? 20_000 : 100_000),
    threads: wholeNumber('threads', values.threads, 2),
    only: positionals,
    server: values.server && path.resolve(values.server),
    json: values.json && path.resolve(values.json),
    profileDir: values.profile && path.resolve(values.profile),
  }
}

function parse() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        jobs: { type: 'string' },
        rounds: { type: 'string' },
        threads: { type: 'string' },
        server: { type: 'string' },
        json: { type: 'string' },
        'write-docs': { type: 'boolean', default: false },
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

function commandLine() {
  const args = process.argv.slice(2)
  return ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' ')
}

function writeReport(file, text) {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
  narrate(`wrote ${path.relative(process.cwd(), file)}`)
}
