/** What has to be ended after a run, however it went: processes, connections, folders. */
export class Endings {
  #ends: (() => unknown)[] = []

  /** Registers one; the last comes first. */
  add(end: () => unknown): void {
    this.#ends.push(end)
  }

  /** Ends everything. One that fails does not keep the others from being ended; its error is thrown at the end. */
  async clear(): Promise<void> {
    let failure: unknown
    for (const end of this.#ends.splice(0).reverse()) {
      try {
        await end()
      } catch (error) {
        failure ??= error
      }
    }
    if (failure !== undefined) throw failure
  }
}
