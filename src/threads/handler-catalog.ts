import { Worker } from 'node:worker_threads'
import type { HandlerOptions } from '../core/handler-definition.ts'
import type { CatalogEntry, HandlerFault, HandlerFile } from './lane-protocol.ts'

/** A handler that can be used: its file and its plain options. */
export interface CatalogedHandler {
  readonly file: HandlerFile
  readonly options: HandlerOptions
}

/** What was learnt about the files of a handlers folder. */
export interface HandlerCatalog {
  readonly handlers: CatalogedHandler[]
  readonly faults: HandlerFault[]
}

/**
 * Imports every handler once, on a thread of its own that ends afterwards, to learn its options.
 *
 * The supervisor's loop runs no user code, so this cannot be done there. A file whose import hangs or
 * ends the thread is a fault of that handler; the rest go on in another thread.
 *
 * @param importMs - how long one file may take.
 */
export async function catalogHandlers(
  files: readonly HandlerFile[],
  importMs: number,
): Promise<HandlerCatalog> {
  const catalog: HandlerCatalog = { handlers: [], faults: [] }
  let rest = files
  while (rest.length > 0) {
    const stuck = await importSome(rest, importMs, catalog)
    if (!stuck) break
    catalog.faults.push(stuck)
    rest = rest.slice(rest.findIndex((file) => file.name === stuck.name) + 1)
  }
  return catalog
}

/** Fills the catalog until a file ends or hangs the thread, and returns that file's fault. */
function importSome(
  files: readonly HandlerFile[],
  importMs: number,
  catalog: HandlerCatalog,
): Promise<HandlerFault | undefined> {
  return new Promise((resolve) => {
    const worker = new Worker(new URL('catalog-entry.bundle.js', import.meta.url), {
      workerData: { files },
      stdout: true,
      stderr: true,
    })
    let current: string | undefined
    let fault: HandlerFault | undefined
    let timer: NodeJS.Timeout | undefined
    const blame = (message: string): void => {
      const name = current ?? files[0]!.name
      fault ??= { name, code: 'handler_import_failed', message }
    }
    worker.on('message', (entry: CatalogEntry | { kind: 'end' }) => {
      clearTimeout(timer)
      if (entry.kind === 'begin') {
        current = entry.name
        timer = setTimeout(() => {
          blame(`importing the file took longer than ${importMs} ms`)
          void worker.terminate()
        }, importMs)
      } else if (entry.kind === 'handler') {
        const file = files.find((candidate) => candidate.name === entry.name)!
        catalog.handlers.push({ file, options: entry.options })
        current = undefined
      } else if (entry.kind === 'fault') {
        const { kind: _, ...found } = entry
        catalog.faults.push(found)
        current = undefined
      } else {
        current = undefined
        void worker.terminate()
      }
    })
    worker.on('error', (error) => blame(`importing the file ended its thread: ${error.message}`))
    worker.on('exit', (code) => {
      clearTimeout(timer)
      if (current !== undefined) blame(`importing the file ended its thread with exit code ${code}`)
      resolve(fault)
    })
  })
}
