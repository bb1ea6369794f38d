import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { narrate, root, runMain, ScriptError } from './console.mjs'
import { setUp } from './setup.mjs'

const usage = `usage: npm run bench -- [scenario]... [options]

  npm run bench                      everything of ours: a short warm-up and 5 measured rounds
  npm run bench -- --peers           other job systems, too; fetches them and their servers at first
  npm run bench -- --quick           a second or two for each scenario, to see that it works
  npm run bench -- drain --rounds 9  one scenario, more rounds

  --help          show this and the names of the scenarios
  --peers         let other job systems take part: BullMQ, graphile-worker, pg-boss
  --with TEXT     only contestants whose names contain this; can be given several times
  --jobs N        jobs of a drain that count (200000)
  --rounds N      measured rounds (5)
  --minutes N     no run begins after so long; the report then has fewer rounds (120)
  --resume        go on where the last run was cut short, of the same commit, server and options
  --threads N     threads of the supervisor (2)
  --server PATH   the nats-server to run
  --node PATH     the Node that everything under test runs on
  --json FILE     write the environment and every run there
  --write-docs    write docs/benchmarks.md and its pictures; needs all scenarios and 3 rounds or more
  --profile DIR   write a CPU profile of every process under test there; numbers then mean little`

const docsDir = path.join(root, 'docs')
const journalFile = path.join(root, '.cache', 'bench', 'runs.jsonl')
const leastRounds = 3

await runMain(async () => {
  const options = readArguments()
  if (options.help) return showHelp()
  // In an hour it would be too late to hear of these.
  const nodeUnderTest = nodeVersion(options.node ?? process.execPath)
  if (options.json !== undefined) requireWritable(options.json)
  if (options.server !== undefined) process.env['MILLRACE_NATS_SERVER'] = options.server
  const server = await setUp()
  const { runBench } = await import('../build/bench/main.js')
  const { Journal } = await import('../build/bench/journal.js')
  const { describeEnvironment } = await import('../build/bench/report/environment.js')
  const { describeResult } = await import('../build/bench/report/table.js')
  const { toJson } = await import('../build/bench/report/json.js')
  const { writePage } = await import('../build/bench/report/page.js')

  const wantedNode = options.node ?? process.execPath
  const atHand = options.peers ? await findPeers(wantedNode) : { node: wantedNode, versions: {}, leftOut: [] }
  const { node } = atHand
  const environment = await describeEnvironment(server.path, commandLine(), {
    node: node === wantedNode ? nodeUnderTest : nodeVersion(node),
    peers: atHand.versions,
    leftOut: atHand.leftOut,
  })
  const { commit, cpu, natsServer } = environment
  const { jobs, threads, contestants } = options
  const conditions = JSON.stringify({
    ...{ commit, cpu, node: environment.node, natsServer, jobs, threads, contestants },
    peers: atHand.versions,
  })
  const { results, isCutShort } = await runBench({
    ...options,
    node,
    binary: server.path,
    natsVersion: server.version,
    burnRounds: calibrateBurn(node),
    journal: options.quick
      ? undefined
      : Journal[options.resume ? 'resume' : 'begin'](journalFile, conditions),
    narrate: (line) => process.stderr.write(`${line}\n`),
  })
  for (const result of results) {
    // What a quick run comes to means nothing, so nothing is said of goals.
    const shown = options.quick ? { ...result, judgements: [] } : result
    process.stdout.write(`\n${describeResult(shown)}\n`)
  }
  for (const line of atHand.leftOut) narrate(`left out: ${line}`)
  if (isCutShort) narrate(`time is over after ${options.minutes} minutes; --resume goes on from here`)
  if (options.json !== undefined) writeReport(options.json, toJson(environment, results))
  if (options.writeDocs && !isCutShort) {
    for (const file of writePage(docsDir, environment, results)) narrate(`wrote ${path.relative(root, file)}`)
  }
  // Numbers that are missing must not look like success to a script, above all to CI.
  if (results.some(({ runs }) => runs.some(({ failure }) => failure !== undefined))) process.exitCode = 1
})

/** What can be had of other job systems; a machine without a network has to do without them. */
async function findPeers(node) {
  const { preparePeers } = await import('../build/bench/servers/prepare-peers.js')
  try {
    return await preparePeers(path.join(root, '.cache', 'bench'), node, narrate)
  } catch (error) {
    const reason = `all other job systems: ${error.message.split('\n')[0]}`
    narrate(`without ${reason}`)
    return { node, versions: {}, leftOut: [reason] }
  }
}

function readArguments() {
  const { values, positionals } = parse()
  const { quick, help, resume } = values
  if (quick && resume) throw new ScriptError('--quick keeps no runs, so --resume has nothing to go on with')
  const rounds = wholeNumber('rounds', values.rounds, quick ? 1 : 5)
  const writeDocs = values['write-docs']
  if (
    writeDocs &&
    (quick ||
      positionals.length > 0 ||
      values.with.length > 0 ||
      values.profile !== undefined ||
      rounds < leastRounds)
  ) {
    throw new ScriptError(
      `--write-docs needs every scenario, ${leastRounds} rounds or more, and neither --quick nor --profile`,
    )
  }
  return {
    help,
    quick,
    rounds,
    writeDocs,
    warmUp: !quick,
    peers: values.peers,
    contestants: values.with,
    resume,
    minutes: wholeNumber('minutes', values.minutes, 120),
    jobs: wholeNumber('jobs', values.jobs, quick ? 5_000 : 200_000),
    threads: wholeNumber('threads', values.threads, 2),
    only: positionals,
    server: values.server && path.resolve(values.server),
    node: values.node && path.resolve(values.node),
    json: values.json && path.resolve(values.json),
    profileDir: values.profile && path.resolve(values.profile),
  }
}

function nodeVersion(node) {
  try {
    return execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
  } catch (error) {
    throw new ScriptError(`--node ${node} cannot be run: ${error.message.split('\n')[0]}`)
  }
}

async function showHelp() {
  await setUp()
  const { scenarios } = await import('../build/bench/main.js')
  const width = Math.max(...scenarios.map(({ name }) => name.length))
  const list = scenarios.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`).join('\n')
  process.stdout.write(`${usage}\n\nscenarios:\n${list}\n`)
}

/** Leaves what is there as it is. */
function requireWritable(file) {
  try {
    mkdirSync(path.dirname(file), { recursive: true })
    closeSync(openSync(file, 'a'))
  } catch (error) {
    throw new ScriptError(`--json ${file} cannot be written: ${error.message}`)
  }
}

function parse() {
  try {
    return parseArgs({
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        quick: { type: 'boolean', default: false },
        jobs: { type: 'string' },
        rounds: { type: 'string' },
        threads: { type: 'string' },
        peers: { type: 'boolean', default: false },
        with: { type: 'string', multiple: true, default: [] },
        resume: { type: 'boolean', default: false },
        minutes: { type: 'string' },
        node: { type: 'string' },
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
  // Where things are on this machine is nobody's business.
  const args = process.argv
    .slice(2)
    .map((word) => (path.isAbsolute(word) ? `<${path.basename(word)}>` : word))
  return ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' ')
}

/** Rounds of a job that computes, for the Node under test. */
function calibrateBurn(node) {
  const script = path.join(root, 'build', 'bench', 'measure', 'calibrate.js')
  return Number(execFileSync(node, [script], { encoding: 'utf8' }))
}

function writeReport(file, text) {
  writeFileSync(file, text)
  narrate(`wrote ${path.relative(process.cwd(), file)}`)
}
