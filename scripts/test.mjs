import { existsSync } from 'node:fs'
import path from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { parseArgs } from 'node:util'
import { narrate, root, runCommand, runMain, ScriptError } from './console.mjs'
import { listFiles } from './outputs.mjs'
import { setUp } from './setup.mjs'

const usage = `usage: npm test -- [file name part]... [--server <path of a nats-server>]

  npm test                                   everything
  npm test -- broker core/backoff            files whose path contains one of these
  npm test -- --server /opt/nats-server-2.12 against that server`

/** Fault tests that take longest begin first, so that none of them runs on alone at the end. */
const longest = ['crash-faults', 'network-faults', 'supervisor-faults', 'cluster-faults', 'job-faults']

/** So many of the files that took longest are told of. */
const tellFiles = 15

/** A hung file must end the run, with room for the slowest fault tests on a busy machine. */
const fileTimeoutMs = 600_000

await runMain(async () => {
  const { filters, serverPath } = readArguments()
  if (serverPath !== undefined) process.env['MILLRACE_NATS_SERVER'] = path.resolve(serverPath)
  await setUp()

  narrate('checking style (biome check)')
  const isClean = (await runCommand(path.join(root, 'node_modules', '.bin', 'biome'), ['check', '.'])) === 0

  const files = chooseTests(filters)
  narrate(`running ${files.length} test files`)
  const counts = { passed: 0, failed: 0, skipped: 0, msByFile: new Map() }
  const isFault = (file) => file.includes(`${path.sep}faults${path.sep}`)
  // Most tests wait most of the time. Fault tests keep the machine busy, and what a fault may do is a matter of time.
  await runTests(
    files.filter((file) => !isFault(file)),
    3,
    counts,
  )
  await runTests(files.filter(isFault).sort(byLength), 2, counts)

  tellSlowest(counts.msByFile)
  if (!isClean) process.stderr.write('\nbiome check failed, see the top; npm run format repairs most of it\n')
  process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
  if (!isClean || counts.failed > 0 || counts.passed === 0) process.exitCode = 1
})

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: { server: { type: 'string' } },
      allowPositionals: true,
    })
    return { filters: positionals, serverPath: values.server }
  } catch (error) {
    throw new ScriptError(`${error.message}\n\n${usage}`)
  }
}

/** Compiled tests, chosen by their sources, so that a stale output is never run. */
function chooseTests(filters) {
  const sources = listFiles(path.join(root, 'test')).filter((file) => file.endsWith('.test.ts'))
  const chosen = sources.filter((file) => filters.length === 0 || filters.some((part) => file.includes(part)))
  if (chosen.length === 0) throw new ScriptError(`no test file matches ${filters.join(', ')}\n\n${usage}`)
  const compiled = chosen.map((file) => path.join(root, 'build', 'test', file.replace(/\.ts$/, '.js')))
  const missing = compiled.filter((file) => !existsSync(file))
  if (missing.length > 0) throw new ScriptError(`not compiled: ${missing.join(', ')}`)
  return compiled.sort()
}

function byLength(one, other) {
  const rank = (file) => longest.findIndex((name) => file.includes(name)) + 1 || longest.length + 1
  return rank(one) - rank(other)
}

/** So that whoever makes a test knows what it costs everybody. */
function tellSlowest(msByFile) {
  const slowest = [...msByFile].sort(([, one], [, other]) => other - one).slice(0, tellFiles)
  if (slowest.length < tellFiles) return
  const told = slowest.map(([file, ms]) => `${path.basename(file, '.test.js')} ${Math.round(ms / 1_000)} s`)
  narrate(`longest files: ${told.join(', ')}`)
}

/** Runs the files, so many at once, and counts tests, not suites. */
async function runTests(files, concurrency, counts) {
  if (files.length === 0) return
  const events = run({ files, concurrency, timeout: fileTimeoutMs })
  const note = ({ details, file, nesting }) => {
    if (nesting === 0) counts.msByFile.set(file, (counts.msByFile.get(file) ?? 0) + details.duration_ms)
  }
  events.on('test:pass', note).on('test:fail', note)
  events.on('test:pass', ({ details, skip, todo }) => {
    if (details.type === 'suite') return
    if (skip !== undefined || todo !== undefined) counts.skipped += 1
    else counts.passed += 1
  })
  events.on('test:fail', ({ details, todo }) => {
    if (details.type === 'suite') return
    if (todo !== undefined) counts.skipped += 1
    else counts.failed += 1
  })
  for await (const text of events.compose(new spec())) process.stdout.write(text)
}
