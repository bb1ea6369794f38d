import { readFileSync } from 'node:fs'
import { nearestName } from '../core/nearest-name.ts'
import { readArguments } from './arguments.ts'
import { type Command, type Console, cliExitCodeOf, cliExitCodes } from './command.ts'
import { commands } from './commands.ts'
import { helpFor, helpForAll, helpForFamily } from './help.ts'

/** Runs what was typed, and answers the exit code. Never throws: an error is one message on stderr. */
export async function run(typed: readonly string[], console: Console): Promise<number> {
  const [first] = typed
  if (first === '--version') {
    console.print(packageVersion())
    return cliExitCodes.ok
  }
  // `help enqueue` is `enqueue --help`.
  const asksHelp = first === 'help'
  const words = asksHelp ? typed.slice(1) : typed
  if (first === '--help' || first === '-h' || (asksHelp && words.length === 0)) {
    console.print(helpForAll(commands))
    return cliExitCodes.ok
  }
  const found = findCommand(words)
  if (!found) {
    const family = familyOf(words)
    if (family.length > 0 && (asksHelp || words.includes('--help') || words.includes('-h'))) {
      console.print(helpForFamily(words[0]!, family))
      return cliExitCodes.ok
    }
    console.narrate(first === undefined ? helpForAll(commands) : unknownCommand(words))
    return cliExitCodes.usage
  }
  const { command, rest } = found
  if (asksHelp) {
    console.print(helpFor(command))
    return cliExitCodes.ok
  }
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

/** The commands that begin with the first word and one more: `dead ls`, `dead show`, … */
function familyOf([first = '']: readonly string[]): readonly Command[] {
  return commands.filter(({ name }) => name.startsWith(`${first} `))
}

function unknownCommand(words: readonly string[]): string {
  const [first = '', second] = words
  if (first.startsWith('-'))
    return `error: ${first} comes before a command, and belongs behind it: millrace <command> ${first}`
  const typed = second === undefined ? first : `${first} ${second}`
  const names = commands.map(({ name }) => name)
  const pairs = names.filter((name) => name.includes(' '))
  const family = familyOf(words)
  if (family.length > 0) {
    const nearest = second === undefined ? null : nearestName(second, family.map(secondWord))
    const hint = nearest === null ? '' : `, did you mean millrace ${first} ${nearest}?`
    return `error: millrace ${first} needs one of ${family.map(secondWord).join(', ')}${hint}`
  }
  const starts = new Set(names.map((name) => name.split(' ')[0]!))
  const nearest = (second === undefined ? null : nearestName(typed, pairs)) ?? nearestName(first, starts)
  const hint = nearest === null ? 'see millrace --help' : `did you mean ${nearest}?`
  return `error: ${JSON.stringify(first)} is not a command, ${hint}`
}

function secondWord({ name }: Command): string {
  return name.slice(name.indexOf(' ') + 1)
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
