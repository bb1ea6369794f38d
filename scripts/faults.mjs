import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { narrate, root, runMain, ScriptError } from './console.mjs'
import { setUp } from './setup.mjs'

const usage = `usage: npm run test:faults -- [part]... [options]

  npm run test:faults                     everything, for a while: a storm, mixed faults, malformed messages, bounds
  npm run test:faults -- mixed --seed 7   mixed faults from this seed on; a finding names the seed of its round
  npm run test:faults -- mixed --seed 7 --jobs 1                    that round again

  --seed N        what everything random begins with (1)
  --jobs N        rounds of mixed faults go on until so many jobs were accepted (100000),
  --faults N      and so many faults have struck (1)
  --minutes N     no round begins after so long (30)
  --messages N    malformed messages (100000)
  --server PATH   the nats-server to run
  --json FILE     write everything that was measured there
  --write-docs    write the tables of docs/reliability.md, of the parts that ran`

const docsFile = path.join(root, 'docs', 'reliability.md')
/** Between these is what a part measured last. */
const marksOf = (part) => [
  `<!-- Written by \`npm run test:faults -- ${part} --write-docs\`; do not edit from here. -->`,
  `<!-- To here: ${part}. -->`,
]

await runMain(async () => {
  const options = readArguments()
  if (options.server !== undefined) process.env['MILLRACE_NATS_SERVER'] = path.resolve(options.server)
  const server = await setUp()
  const { parts, runFaults } = await import('../build/test/faults/long-run.js')
  const { findingsOf, rowsOf, toMarkdown } = await import('../build/test/faults/report.js')
  const { describeEnvironment } = await import('../build/bench/report/environment.js')
  for (const part of options.parts) {
    if (!parts.includes(part))
      throw new ScriptError(`no part is called ${part}; there are ${parts.join(', ')}`)
  }
  const wanted = options.parts.length === 0 ? parts : options.parts

  const environment = await describeEnvironment(server.path, commandLine())
  narrate(`seed ${options.seed}`)
  const report = await runFaults({ ...options, parts: wanted, narrate })
  for (const [what, limit, measured, holds] of rowsOf(report)) {
    process.stdout.write(
      `${what}: ${measured}${limit === '' ? '' : `, limit ${limit}`}${holds === '' ? '' : `, holds: ${holds}`}\n`,
    )
  }
  if (options.json !== undefined)
    writeFileSync(options.json, `${JSON.stringify({ environment, report }, null, 2)}\n`)
  if (options.writeDocs) writeDocs(toMarkdown(report, environmentRows(environment)))
  const findings = findingsOf(report)
  for (const finding of findings) process.stderr.write(`${finding}\n`)
  process.stdout.write(`\nseed ${options.seed}: ${findings.length} findings\n`)
  if (findings.length > 0) process.exitCode = 1
})

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: {
        seed: { type: 'string', default: '1' },
        jobs: { type: 'string', default: '100000' },
        faults: { type: 'string', default: '1' },
        minutes: { type: 'string', default: '30' },
        messages: { type: 'string', default: '100000' },
        server: { type: 'string' },
        json: { type: 'string' },
        'write-docs': { type: 'boolean', default: false },
      },
      allowPositionals: true,
    })
    const numbers = {}
    for (const name of ['seed', 'jobs', 'faults', 'minutes', 'messages']) {
      numbers[name] = Number(values[name])
      if (!Number.isInteger(numbers[name]) || numbers[name] < 1) {
        throw new Error(`--${name} takes a whole number of 1 or more, got ${JSON.stringify(values[name])}`)
      }
    }
    return {
      ...numbers,
      parts: positionals,
      server: values.server,
      json: values.json,
      writeDocs: values['write-docs'],
    }
  } catch (error) {
    throw new ScriptError(`${error.message}\n\n${usage}`)
  }
}

/** As somebody else would type it; the paths of this machine say nothing there. */
function commandLine() {
  const typed = process.argv
    .slice(2)
    .map((word) => (path.isAbsolute(word) ? `<${path.basename(word)}>` : word))
  return `npm run test:faults -- ${typed.join(' ')}`.trim()
}

function environmentRows({ date, cpu, cores, memoryGb, node, natsServer, commit, command, loadBefore }) {
  return [
    ['Command', `\`${command}\``],
    ['Date', date.slice(0, 10)],
    ['Machine', `${cpu}, ${cores} cores, ${memoryGb} GB; load before the run ${loadBefore}`],
    ['Node, nats-server', `${node}, ${natsServer}`],
    ['Commit', commit ?? 'unknown'],
  ]
}

function writeDocs(sections) {
  let text = readFileSync(docsFile, 'utf8')
  for (const [part, markdown] of Object.entries(sections)) {
    const marks = marksOf(part)
    const [from, to] = marks.map((mark) => text.indexOf(mark))
    if (from < 0 || to < from)
      throw new ScriptError(`${docsFile} has lost the marks between which the table of ${part} goes`)
    text = `${text.slice(0, from + marks[0].length)}\n\n${markdown}\n\n${text.slice(to)}`
  }
  writeFileSync(docsFile, text)
  narrate(`wrote ${path.relative(root, docsFile)}`)
}
