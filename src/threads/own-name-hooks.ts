import type { InitializeHook, ResolveHook } from 'node:module'

let entries: Readonly<Record<string, string>> = {}

/** Receives where this installation's own entries are, by the names that they are imported by. */
export const initialize: InitializeHook<Readonly<Record<string, string>>> = (data) => {
  entries = data
}

/** Resolves `millrace` and `millrace/client` as usual, and to this installation where that fails. */
export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  try {
    return await nextResolve(specifier, context)
  } catch (error) {
    const url = Object.hasOwn(entries, specifier) ? entries[specifier] : undefined
    if (url !== undefined) return { url, shortCircuit: true }
    throw error
  }
}
