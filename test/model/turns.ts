/**
 * So often a promise can lead to another before the next step. What takes longer goes on during that, in every run
 * alike; the longest chains of the engine are half of it.
 */
const hops = 32

let turn: (() => void)[] | undefined

/**
 * Runs `work` with a `setImmediate` that belongs to the model: a turn of the real event loop costs more than the
 * whole step of the engine that waits for it, and an exploration has millions of them.
 */
export async function inModelTurns<T>(work: () => Promise<T>): Promise<T> {
  const { setImmediate } = globalThis
  turn = []
  globalThis.setImmediate = ((callback: () => void) => turn!.push(callback)) as unknown as typeof setImmediate
  try {
    return await work()
  } finally {
    globalThis.setImmediate = setImmediate
    turn = undefined
  }
}

/** Lets everything go on that waits for nothing but promises and the end of the turn. */
export async function settled(): Promise<void> {
  for (;;) {
    for (let hop = 0; hop < hops; hop += 1) await undefined
    const callbacks = turn!.splice(0)
    if (callbacks.length === 0) return
    for (const callback of callbacks) callback()
  }
}
