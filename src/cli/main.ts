#!/usr/bin/env node
import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { buffer } from 'node:stream/consumers'
import type { Console } from './command.ts'
import { run } from './run.ts'
import { TerminalScreen } from './terminal-screen.ts'
import { terminalLines } from './terminal-text.ts'

// Whoever reads our output may have enough of it: `millrace … | head`.
process.stdout.on('error', () => process.exit(0))

let isBarShown = false

const console: Console = {
  print: (text) => {
    if (process.stdout.isTTY) drawBar('')
    process.stdout.write(`${terminalLines(text)}\n`)
  },
  narrate: (text) => {
    drawBar('')
    process.stderr.write(`${terminalLines(text)}\n`)
  },
  read: () => buffer(process.stdin),
  taken: async () => {
    if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain')
  },
  wipe: () => {
    // The home position first, so that nothing flickers: what follows overwrites, and the rest is cleared.
    if (process.stdout.isTTY) process.stdout.write('\u001b[H\u001b[J')
  },
  interactive: process.stdin.isTTY === true,
  ask,
  barColumns: process.stderr.isTTY && process.env['TERM'] !== 'dumb' ? process.stderr.columns : undefined,
  drawBar,
  paint: (sequences) => process.stdout.write(sequences),
  openScreen: () =>
    process.stdin.isTTY && process.stdout.isTTY
      ? new TerminalScreen(process.stdin, process.stdout)
      : undefined,
  // Knows NO_COLOR and its like.
  colours: process.stdout.isTTY && process.stdout.hasColors(),
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
}

const code = await run(process.argv.slice(2), console)
// Not left to the event loop: a connection that was being made when its time was over would hold it for seconds.
process.stdout.write('', () => process.exit(code))

function drawBar(line: string): void {
  if (line === '' && !isBarShown) return
  isBarShown = line !== ''
  process.stderr.write(`\r\u001b[K${terminalLines(line)}`)
}

/** The end of stdin is an empty answer. */
async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await Promise.race([lines.question(question), once(lines, 'close').then(() => '')])
  } finally {
    lines.close()
  }
}
