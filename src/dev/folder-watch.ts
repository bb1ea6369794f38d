import { type FSWatcher, statSync, watch } from 'node:fs'

/** Editors' own files, and ours. */
const notSources = /^\.|~$|^\d+$/
/** A save is several events, and a file may be empty between two of them. */
const quietMs = 25

/**
 * Tells of changes in folders, but not in those below them, each of which is watched by itself: so nothing is missed
 * when an editor puts a new file in the place of the old one.
 */
export class FolderWatch {
  readonly #changed: (firstAt: number) => void
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly inode: number }>()
  #firstAt: number | undefined
  #timer: NodeJS.Timeout | undefined

  /** @param changed - called once for the events of a moment, with the `performance.now()` of the first. */
  constructor(changed: (firstAt: number) => void) {
    this.#changed = changed
  }

  /** Watches these folders and no others. One that is not there, or cannot be watched, is left out. */
  watch(folders: ReadonlySet<string>): void {
    for (const [folder, { watcher, inode }] of this.#watchers) {
      if (folders.has(folder) && inodeOf(folder) === inode) continue
      watcher.close()
      this.#watchers.delete(folder)
    }
    for (const folder of folders) {
      const inode = inodeOf(folder)
      if (inode === undefined || this.#watchers.has(folder)) continue
      const watcher = watch(folder, (_, file) => this.#event(file))
      watcher.on('error', () => this.#event(null))
      this.#watchers.set(folder, { watcher, inode })
    }
  }

  close(): void {
    this.watch(new Set())
    clearTimeout(this.#timer)
  }

  #event(file: string | null): void {
    if (file !== null && notSources.test(file)) return
    this.#firstAt ??= performance.now()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      const firstAt = this.#firstAt!
      this.#firstAt = undefined
      this.#changed(firstAt)
    }, quietMs)
  }
}

function inodeOf(folder: string): number | undefined {
  return statSync(folder, { throwIfNoEntry: false })?.ino
}
