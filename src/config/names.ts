import { optionName } from './row.ts'
import { ignoredVariables, settingNames, settingTable } from './table.ts'

/** What a look at the names alone shows, before any value is read. */
export interface NameFindings {
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

const rows = settingNames.map((name) => settingTable[name])
const knownVariables = new Set([
  ...rows.map((row) => row.variable),
  ...rows.filter((row) => row.fileForm !== undefined).map((row) => `${row.variable}_FILE`),
  ...ignoredVariables,
])
// What a program may pass on without knowing it: an option for the one variable that is read elsewhere.
const knownOptions = new Set([...settingNames, ...ignoredVariables.map(optionName)])

// Kubernetes describes each Service to every container in the manner of Docker links, so one that is
// called `millrace` or `millrace-…` puts these into the environment.
const serviceLink = /^MILLRACE_(\w+_)?(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP|SCTP))(_\w+)?$/
const serviceUrl = /^(tcp|udp|sctp):\/\//

/** Whether a value was put there by Kubernetes for a Service, and not by a person. */
export function isServiceLink(variable: string, value: string): boolean {
  return serviceLink.test(variable) || (/^MILLRACE_(\w+_)?PORT$/.test(variable) && serviceUrl.test(value))
}

/** Finds `MILLRACE_*` variables that nothing reads: a typing error there would silently mean the default. */
export function checkVariableNames(environment: Readonly<Record<string, string | undefined>>): NameFindings {
  const problems: string[] = []
  const links: string[] = []
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith('MILLRACE_') || value === undefined || value === '') continue
    if (knownVariables.has(variable)) continue
    if (isServiceLink(variable, value)) links.push(variable)
    else problems.push(unknownName(variable, knownVariables))
  }
  const [first] = links
  return {
    problems,
    warnings:
      first === undefined
        ? []
        : [
            `${first}${links.length > 1 ? ` and ${links.length - 1} more` : ''} come from a Kubernetes Service and are ignored; enableServiceLinks: false in the pod's spec avoids a clash with settings`,
          ],
  }
}

/** Finds options that do not exist. */
export function checkOptionNames(options: object): NameFindings {
  const unknown = Object.entries(options).filter(
    ([name, value]) => value !== undefined && !knownOptions.has(name),
  )
  return { problems: unknown.map(([name]) => unknownName(name, knownOptions)), warnings: [] }
}

function unknownName(name: string, known: ReadonlySet<string>): string {
  const nearest = nearestName(name, known)
  return `${name} is not a setting${nearest === null ? '' : `, did you mean ${nearest}?`}`
}

/**
 * The known name that takes the fewest edits to reach, or `null` when none is near enough to be meant.
 * A word left out (`MILLRACE_PORT` for `MILLRACE_HTTP_PORT`) counts as one edit.
 */
export function nearestName(name: string, known: Iterable<string>): string | null {
  const rest = name.replace(/^MILLRACE_/, '')
  let nearest: string | null = null
  let fewest = Math.max(2, Math.floor(rest.length / 2)) + 1
  for (const candidate of known) {
    const edits = candidate.endsWith(`_${rest}`) ? 1 : editDistance(name, candidate)
    if (edits < fewest) {
      nearest = candidate
      fewest = edits
    }
  }
  return nearest
}

/** Levenshtein's distance: how many letters to insert, delete or replace. */
export function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const replace = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1)
      current.push(Math.min(replace, previous[column]! + 1, current[column - 1]! + 1))
    }
    previous = current
  }
  return previous[to.length]!
}
