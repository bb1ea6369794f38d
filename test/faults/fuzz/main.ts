import { parseArgs } from 'node:util'
import { runFuzz } from './run-fuzz.ts'

// node build/test/faults/fuzz/main.js --seed 7 --messages 200000
// node build/test/faults/fuzz/main.js --seed 7 --only 4711      to look at one message again
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    messages: { type: 'string', default: '50000' },
    only: { type: 'string' },
  },
})
const report = await runFuzz({
  seed: Number(values.seed),
  messages: Number(values.messages),
  only: values.only === undefined ? undefined : Number(values.only),
  narrate: (line) => process.stderr.write(`${line}\n`),
})
process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
if (report.findings.length > 0) process.exitCode = 1
