import { readFileSync } from 'node:fs'
import { nearestName } from '../core/nearest-name.ts'
import { readArguments } from './arguments.ts'
import { type Command, type Console, cliExitCodeOf, cliExitCodes } from './command.ts'
import { commands } from './commands.ts'
import { helpFor, helpForAll } from './help.ts'

/** Runs what was typed, and answers the exit code. Never throws: an error is one message on stderr. */
export async function run(words: readonly string[], console: Console): Promise<number> {
  const [first] = words
  if (first === '--help' || first === '-h' || first === 'help') {
    console.print(helpForAll(commands))
    return cliExitCodes.ok
  }
  if (first === '--version') {
    console.print(packageVersion())
    return cliExitCodes.ok
  }
  const found = findCommand(words)
  if (!found) {
    console.narrate(first === undefined ? helpForAll(commands) : unknownCommand(words))
    return cliExitCodes.usage
  }
  const { command, rest } = found
  try {
    const typed = readArguments(command, rest)
    if (typed.help) {
      console.print(helpFor(command))
      return cliExitCodes.ok
    }
    return await command.run(typed, console)
  } catch (error) {
    console.narrate(`error: ${error instanceof Error ? error.message : String(error)}`)
    return cliExitCodeOf(error, command.usageExitCode)
  }
}

function findCommand(words: readonly string[]): { command: Command; rest: readonly string[] } | undefined {
  for (const command of commands) {
    const name = command.name.split(' ')
    if (name.every((word, index) => words[index] === word)) return { command, rest: words.slice(name.length) }
  }
  return undefined
}

function unknownCommand(words: readonly string[]): string {
  const names = commands.map((command) => command.name)
  const [first = '', second] = words
  const family = names.filter((name) => name.startsWith(`${first} `))
  if (family.length > 0)
    return `error: millrace ${first} needs one of ${family.map((name) => name.slice(first.length + 1)).join(', ')}`
  const typed = second === undefined ? first : `${first} ${second}`
  const nearest = nearestName(first, names) ?? nearestName(typed, names)
  const hint = nearest === null ? 'see millrace --help' : `did you mean ${nearest}?`
  return `error: ${JSON.stringify(first)} is not a command, ${hint}`
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
