import type { InitializeHook, ResolveHook } from 'node:module'

let index = ''

/** Receives where this installation's own entry is. */
export const initialize: InitializeHook<{ index: string }> = (data) => {
  index = data.index
}

/** Resolves `millrace` as usual, and to this installation where that fails. */
export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  try {
    return await nextResolve(specifier, context)
  } catch (error) {
    if (specifier === 'millrace') return { url: index, shortCircuit: true }
    throw error
  }
}
