import { flagsOf } from './arguments.ts'
import type { Command } from './command.ts'

/** What `millrace --help` says. */
export function helpForAll(commands: readonly Command[]): string {
  return [
    'usage: millrace <command> [arguments] [flags]',
    '',
    ...summaries(commands),
    '',
    'millrace <command> --help explains a command. Every command takes --json. The broker and the namespace come',
    'from the environment: NATS_URL, NATS_CREDS and their like, MILLRACE_NAMESPACE; or from a context of the nats CLI:',
    '--context <name>, NATS_CONTEXT.',
    'Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 broker unreachable; start has its own.',
  ].join('\n')
}

/** What `millrace dead --help` says: the commands that begin with that word. */
export function helpForFamily(word: string, commands: readonly Command[]): string {
  return [
    `usage: millrace ${word} <command> [arguments] [flags]`,
    '',
    ...summaries(commands),
    '',
    `millrace ${word} <command> --help explains a command.`,
  ].join('\n')
}

function summaries(commands: readonly Command[]): string[] {
  const usages = commands.map((command) => `${command.name} ${command.arguments}`.trim())
  return commands.map((command, index) => `  ${padded(usages[index]!, usages)}  ${command.summary}`)
}

/** What `millrace <command> --help` says. */
export function helpFor(command: Command): string {
  const flags = flagsOf(command)
  const typed = Object.entries(flags).map(([name, { value }]) => `--${name}${value ? ` ${value}` : ''}`)
  return [
    `usage: ${`millrace ${command.name} ${command.arguments}`.trim()} [flags]`,
    '',
    `${capital(command.summary)}.`,
    ...(command.details ? [command.details] : []),
    '',
    ...Object.values(flags).map(({ help }, index) => `  ${padded(typed[index]!, typed)}  ${help}`),
    '',
    'Example:',
    `  ${command.example}`,
  ].join('\n')
}

function padded(text: string, among: readonly string[]): string {
  return text.padEnd(Math.max(...among.map((each) => each.length)))
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
