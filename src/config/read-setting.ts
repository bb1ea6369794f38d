import { accessSync, constants, readFileSync } from 'node:fs'
import { isServiceLink } from './names.ts'
import type { SettingRow } from './row.ts'
import { maskUserInfo } from './servers.ts'
import { type SettingName, settingTable } from './table.ts'

/** Who set a setting. */
export type SettingOrigin = 'env' | 'option' | 'default'

/** Where a setting came from. */
export interface SettingSource {
  readonly origin: SettingOrigin
  /** The name under which it was set: the variable, its `_FILE` form, or the option. */
  readonly name: string
  /** The file that a secret was read from. */
  readonly file: string | null
}

/**
 * One setting as found; with problems, `value` is the default, and `source` only says that
 * somebody set it.
 */
export interface FoundSetting {
  readonly value: unknown
  readonly source: SettingSource
  readonly problems: readonly string[]
}

/** Finds one setting in the environment, the options or its default, and checks it. */
export function readSetting(
  name: SettingName,
  environment: Readonly<Record<string, string | undefined>>,
  options: Readonly<Record<string, unknown>>,
): FoundSetting {
  const row: SettingRow<unknown> = settingTable[name]
  const fromVariable = present(environment[row.variable])
  const fileVariable = `${row.variable}_FILE`
  const fromFile = row.fileForm === undefined ? undefined : present(environment[fileVariable])
  const fromOption = present(options[name])

  if (fromVariable !== undefined && fromFile !== undefined) {
    return refused(row, `${row.variable} and ${fileVariable} are both set; keep one of them`)
  }
  if (fromVariable !== undefined) return check(row, fromVariable, 'env', row.variable)
  if (fromFile !== undefined) {
    return row.fileForm === 'contents'
      ? checkFile(row, String(fromFile), 'env', fileVariable)
      : check(row, fromFile, 'env', fileVariable)
  }
  if (fromOption !== undefined) return check(row, fromOption, 'option', name)
  return {
    value: row.default.value(),
    source: { origin: 'default', name: row.variable, file: null },
    problems: [],
  }
}

function present(raw: unknown): unknown {
  return raw === null || (typeof raw === 'string' && raw.trim() === '') ? undefined : raw
}

function check(row: SettingRow<unknown>, raw: unknown, origin: SettingOrigin, name: string): FoundSetting {
  const reading = row.kind.read(raw)
  if (reading.kind === 'refused') {
    // The nats CLI takes a path here, so a value that is no seed is tried as one.
    if (row.variable === 'NATS_NKEY' && typeof raw === 'string') return checkFile(row, raw, origin, name)
    return refused(row, problemWith(row, raw, name, reading.remedy))
  }
  if (row.readable === true && typeof reading.value === 'string') {
    const problem = unreadable(reading.value)
    if (problem !== null) return refused(row, `${name}: ${problem}`)
  }
  return { value: reading.value, source: { origin, name, file: null }, problems: [] }
}

function checkFile(
  row: SettingRow<unknown>,
  file: string,
  origin: SettingOrigin,
  name: string,
): FoundSetting {
  let contents: string
  try {
    contents = readFileSync(file, 'utf8').trim()
  } catch (error) {
    const shown =
      name === row.variable ? 'a value that is no seed and no readable file' : describeFile(file, error)
    return refused(row, `${name}: ${shown}`)
  }
  if (contents === '') return refused(row, `${name}: ${JSON.stringify(file)} is empty`)
  const reading = row.kind.read(contents)
  return reading.kind === 'value'
    ? { value: reading.value, source: { origin, name, file }, problems: [] }
    : refused(row, `${name}: ${JSON.stringify(file)} must hold ${row.kind.expected}`)
}

function unreadable(file: string): string | null {
  // People paste the contents of a .creds or .pem file where its path belongs: those must not be printed.
  if (file.includes('-----BEGIN')) return 'must be the path of a file, got its contents; write them to a file'
  try {
    accessSync(file, constants.R_OK)
    return null
  } catch (error) {
    return describeFile(file, error)
  }
}

function describeFile(file: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
  return `cannot read ${JSON.stringify(file)} (${code}); check the path and its permissions`
}

function problemWith(
  row: SettingRow<unknown>,
  raw: unknown,
  name: string,
  remedy: string | undefined,
): string {
  const fallback = row.default.text ?? String(row.default.value())
  const linked = typeof raw === 'string' && isServiceLink(row.variable, raw)
  const advice = linked
    ? "it comes from a Kubernetes Service: set enableServiceLinks: false in the pod's spec"
    : (remedy ?? `unset it for the default, ${fallback}`)
  return `${name} must be ${row.kind.expected}, got ${show(row, raw)}: ${advice}`
}

function show(row: SettingRow<unknown>, raw: unknown): string {
  if (row.secret === true) return 'a secret that is not shown'
  const shown = row.variable === 'NATS_URL' ? maskUserInfo(String(raw)) : raw
  const text = typeof shown === 'string' ? JSON.stringify(shown) : String(shown)
  return text.length > 120 ? `${text.slice(0, 119)}…` : text
}

function refused(row: SettingRow<unknown>, problem: string): FoundSetting {
  return {
    value: row.default.value(),
    source: { origin: 'env', name: row.variable, file: null },
    problems: [problem],
  }
}
