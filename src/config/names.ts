import { nearestName } from '../core/nearest-name.ts'
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
