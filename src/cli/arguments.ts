import { parseArgs } from 'node:util'
import { nearestName } from '../core/nearest-name.ts'
import { type Command, type Flag, type Typed, usageError } from './command.ts'

const contextFlag: Readonly<Record<string, Flag>> = {
  context: {
    value: '<name>',
    help: 'what the environment does not say comes from this context of the nats CLI',
  },
}
const commonFlags: Readonly<Record<string, Flag>> = {
  json: { help: 'write JSON to stdout, for programs' },
  help: { help: 'explain this command' },
}

/** The flags of a command, its own and those that others have, too. */
export function flagsOf({ flags, ownConnection }: Command): Readonly<Record<string, Flag>> {
  return { ...flags, ...(ownConnection ? {} : contextFlag), ...commonFlags }
}

/**
 * Reads what was typed after a command's name.
 *
 * @throws {MillraceError} `invalid_arguments` for a flag that is unknown, lacks its value or has one too many, and
 *   for too few or too many arguments.
 */
export function readArguments(
  command: Command,
  words: readonly string[],
): Typed & { readonly help: boolean } {
  const flags = flagsOf(command)
  // Not strict, because Node's own complaints name no flag that is near.
  const { tokens, positionals } = parseArgs({
    args: [...words],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(flags).map(([name, { value }]) => [name, { type: value ? 'string' : 'boolean' }]),
    ),
  })
  const values = new Map<string, string[]>()
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const flag = token.rawName.startsWith('--') ? flags[token.name] : undefined
    if (!flag || !Object.hasOwn(flags, token.name)) throw unknownFlag(command, token.rawName, flags)
    if (flag.value !== undefined && token.value === undefined)
      throw usageError(`--${token.name} needs a value: --${token.name} ${flag.value}`)
    if (flag.value === undefined && token.value !== undefined)
      throw usageError(`--${token.name} takes no value, got ${JSON.stringify(token.value)}`)
    const before = values.get(token.name) ?? []
    if (before.length > 0 && flag.value !== undefined && !flag.multiple)
      throw usageError(`--${token.name} is given twice; give it once`)
    values.set(token.name, [...before, token.value ?? ''])
  }
  const help = values.has('help')
  if (!help) checkCount(command, positionals)
  return {
    positionals,
    help,
    json: values.has('json'),
    context: values.get('context')?.[0],
    text: (name) => values.get(name)?.[0],
    texts: (name) => values.get(name) ?? [],
  }
}

function checkCount({ name, arguments: takesWhat, takes: [least, most] }: Command, given: string[]): void {
  if (given.length < least) throw usageError(`something is missing: millrace ${name} ${takesWhat}`)
  if (given.length <= most) return
  throw usageError(
    `${JSON.stringify(given[most])} is one argument too many: millrace ${name} ${takesWhat}; quote what has spaces`,
  )
}

function unknownFlag(command: Command, rawName: string, flags: Readonly<Record<string, Flag>>) {
  const nearest = nearestName(rawName.replace(/^-+/, ''), Object.keys(flags))
  const hint = nearest === null ? '' : `, did you mean --${nearest}?`
  return usageError(
    `${rawName} is not a flag of millrace ${command.name}${hint || `; see millrace ${command.name} --help`}`,
  )
}
