import { type FSWatcher, statSync, watch } from 'node:fs'

/** Editors' own files. */
const notSources = /^\.|~$/
/** A save is several events, and a file may be empty between two of them. */
const quietMs = 25
/** Something that writes all the time puts it off no longer. */
const longestMs = 500

/**
 * Tells of changes in folders, but not in those below them, each of which is watched by itself: so nothing is missed
 * when an editor puts a new file in the place of the old one.
 */
export class FolderWatch {
  readonly #changed: (firstAt: number) => void
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly identity: string }>()
  #firstAt: number | undefined
  #timer: NodeJS.Timeout | undefined

  /** @param changed - called once for the events of a moment, with the `performance.now()` of the first. */
  constructor(changed: (firstAt: number) => void) {
    this.#changed = changed
  }

  /**
   * Watches these folders and no others, and answers whether one of them was not watched before, so that something
   * may have been missed. One that is not there is left out.
   */
  watch(folders: ReadonlySet<string>): boolean {
    let hasNew = false
    for (const [folder, { watcher, identity }] of this.#watchers) {
      if (folders.has(folder) && identityOf(folder) === identity) continue
      watcher.close()
      this.#watchers.delete(folder)
    }
    for (const folder of folders) {
      const identity = identityOf(folder)
      if (identity === undefined || this.#watchers.has(folder)) continue
      const watcher = watch(folder, (_, file) => this.#event(file))
      watcher.on('error', () => this.#event(null))
      this.#watchers.set(folder, { watcher, identity })
      hasNew = true
    }
    return hasNew
  }

  close(): void {
    this.watch(new Set())
    clearTimeout(this.#timer)
  }

  #event(file: string | null): void {
    if (file !== null && notSources.test(file)) return
    const now = performance.now()
    this.#firstAt ??= now
    clearTimeout(this.#timer)
    this.#timer = setTimeout(
      () => {
        const firstAt = this.#firstAt!
        this.#firstAt = undefined
        this.#changed(firstAt)
      },
      Math.max(0, Math.min(quietMs, this.#firstAt + longestMs - now)),
    )
  }
}

/** Tells a folder from another one that has taken its place; the numbers of files are used again. */
function identityOf(folder: string): string | undefined {
  const found = statSync(folder, { throwIfNoEntry: false })
  return found && `${found.ino} ${found.birthtimeMs}`
}
