import { register } from 'node:module'
import type { HandlerFunction, HandlerOptions, StandardSchema } from '../core/handler-definition.ts'
import { readDefinition } from '../core/read-definition.ts'
import { describeThrown } from './error-transfer.ts'
import type { HandlerFault, HandlerFile } from './lane-protocol.ts'
import { needsOwnName } from './own-name.ts'

/** A handler as a thread holds it. */
export interface LoadedHandler {
  readonly name: string
  readonly run: HandlerFunction
  readonly schema: StandardSchema | undefined
  readonly options: HandlerOptions
}

/**
 * Imports handler files one after the other. A file that cannot be imported, or exports something
 * else, becomes a fault of that handler and leaves the others alone.
 */
export async function importHandlers(
  files: readonly (HandlerFile | undefined)[],
): Promise<{ handlers: (LoadedHandler | undefined)[]; faults: HandlerFault[] }> {
  teachOwnName(files.filter((file) => file !== undefined))
  const handlers: (LoadedHandler | undefined)[] = []
  const faults: HandlerFault[] = []
  for (const file of files) {
    if (!file) {
      handlers.push(undefined)
      continue
    }
    const loaded = await importHandler(file)
    if (loaded.kind === 'handler') handlers.push(loaded.handler)
    else {
      handlers.push(undefined)
      faults.push(loaded.fault)
    }
  }
  return { handlers, faults }
}

type Imported =
  | { readonly kind: 'handler'; readonly handler: LoadedHandler }
  | { readonly kind: 'fault'; readonly fault: HandlerFault }

async function importHandler(file: HandlerFile): Promise<Imported> {
  let exported: unknown
  try {
    const module = (await import(file.url)) as { default?: unknown }
    exported = unwrapCommonJs(module.default)
  } catch (thrown) {
    const { message, stack } = describeThrown(thrown)
    const at = placeIn(stack)
    const fault: HandlerFault = { name: file.name, code: 'handler_import_failed', message }
    return { kind: 'fault', fault: at === undefined ? fault : { ...fault, at } }
  }
  const definition = readDefinition(exported)
  if (definition.kind === 'problems') {
    return {
      kind: 'fault',
      fault: { name: file.name, code: 'invalid_definition', message: definition.problems.join('; ') },
    }
  }
  return {
    kind: 'handler',
    handler: { name: file.name, run: definition.run, schema: definition.schema, options: definition.options },
  }
}

/** The first frame that is neither Node's nor ours. */
function placeIn(stack = ''): string | undefined {
  for (const [, place] of stack.matchAll(/^ +at (?:.*\()?((?:file:|\/|[A-Z]:\\).*:\d+:\d+)\)?$/gm)) {
    const path = place!.startsWith('file:') ? place!.replace(/^file:\/\//, '') : place!
    if (!/\/threads\/(?:handler-import|catalog-entry|thread-entry)\./.test(path)) return path
  }
  return undefined
}

// `export default` compiled to CommonJS arrives as { default: { __esModule: true, default } }.
function unwrapCommonJs(exported: unknown): unknown {
  if (
    typeof exported === 'object' &&
    exported !== null &&
    '__esModule' in exported &&
    'default' in exported
  ) {
    return exported.default
  }
  return exported
}

let taught = false

/**
 * Lets handlers outside this project `import 'millrace'` although no `node_modules` beside them has
 * it. The hooks cost a thread of about 9 MB each, so they are registered only where they are needed.
 */
function teachOwnName(files: readonly HandlerFile[]): void {
  if (taught || !files.some((file) => needsOwnName(file.url))) return
  taught = true
  register(new URL('own-name-hooks.js', import.meta.url), {
    data: {
      millrace: new URL('../index.js', import.meta.url).href,
      'millrace/client': new URL('../client/index.js', import.meta.url).href,
    },
  })
}
