import { parentPort, workerData } from 'node:worker_threads'
import { importHandlers } from './handler-import.ts'
import type { CatalogEntry, HandlerFile } from './lane-protocol.ts'

const { files } = workerData as { files: readonly HandlerFile[] }

function say(entry: CatalogEntry | { kind: 'end' }): void {
  parentPort!.postMessage(entry)
}

for (const file of files) {
  say({ kind: 'begin', name: file.name })
  const { handlers, faults } = await importHandlers([file])
  for (const handler of handlers) {
    if (handler) say({ kind: 'handler', name: handler.name, options: handler.options })
  }
  for (const fault of faults) say({ kind: 'fault', ...fault })
}
say({ kind: 'end' })
