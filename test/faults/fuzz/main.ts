import { parseArgs } from 'node:util'
import { runFuzz } from './run-fuzz.ts'

// node build/test/faults/fuzz/main.js --seed 7 --messages 200000
// node build/test/faults/fuzz/main.js --seed 7 --from 4711 --messages 1      to look at one message again
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    messages: { type: 'string', default: '50000' },
    from: { type: 'string', default: '0' },
  },
})
const report = await runFuzz({
  seed: Number(values.seed),
  messages: Number(values.messages),
  from: Number(values.from),
  narrate: (line) => process.stderr.write(`${line}\n`),
})
process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
if (report.findings.length > 0) process.exitCode = 1
