import { readdirSync, symlinkSync } from 'node:fs'
import path from 'node:path'

const projectDir = path.resolve(import.meta.dirname, '../..')

/**
 * Puts the example handlers and the demo's own into one empty folder, as links, because a supervisor
 * reads one folder. Node resolves links before it resolves imports, so the handlers find their
 * packages as if they ran from where they are.
 */
export function assembleHandlers(folder: string): void {
  for (const source of [
    path.join(projectDir, 'dist', 'handlers'),
    path.join(import.meta.dirname, 'handlers'),
  ]) {
    for (const entry of readdirSync(source, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue
      // A junction is the only link to a folder that Windows allows to everybody; elsewhere the type is ignored.
      symlinkSync(path.join(source, entry.name), path.join(folder, entry.name), 'junction')
    }
  }
}
