/**
 * Random choices that a seed repeats exactly, on every machine and in every run: a fault that a run found is
 * found again by its seed. Not for secrets.
 *
 * xoshiro128**, its state filled by splitmix32. Source: Blackman and Vigna, "Scrambled linear pseudorandom
 * number generators" (2018).
 */
export class Random {
  readonly seed: number
  #a: number
  #b: number
  #c: number
  #d: number

  /** Any number; only its lower 32 bits count. */
  constructor(seed: number) {
    this.seed = seed >>> 0
    let state = this.seed
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0
      let mixed = state ^ (state >>> 16)
      mixed = Math.imul(mixed, 0x21f0aaad)
      mixed ^= mixed >>> 15
      mixed = Math.imul(mixed, 0x735a2d97)
      return mixed ^ (mixed >>> 15)
    }
    this.#a = next()
    this.#b = next()
    this.#c = next()
    this.#d = next()
  }

  /** A generator of its own for the n-th of many things: what one of them draws changes nothing for the next. */
  fork(index: number): Random {
    return new Random(Math.imul(this.seed ^ 0x5bd1e995, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b))
  }

  /** 32 random bits, as a number from 0. */
  bits(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9)
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = rotate(this.#d, 11)
    return result >>> 0
  }

  /** From 0 up to, and without, 1. */
  ratio(): number {
    return this.bits() / 0x1_0000_0000
  }

  /** A whole number from 0 up to, and without, `below`. */
  integer(below: number): number {
    return Math.floor(this.ratio() * below)
  }

  /** A whole number, both bounds included. */
  between(least: number, most: number): number {
    return least + this.integer(most - least + 1)
  }

  /** True in this share of the cases. */
  chance(ratio: number): boolean {
    return this.ratio() < ratio
  }

  /** @throws {RangeError} when there is nothing to pick from. */
  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('nothing to pick from')
    return list[this.integer(list.length)]!
  }

  /** One of the names, as often as its weight says beside the others. */
  pickWeighted<T extends string>(weights: Readonly<Record<T, number>>): T {
    const entries = Object.entries<number>(weights) as [T, number][]
    let left = this.ratio() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      left -= weight
      if (left < 0) return name
    }
    return entries.at(-1)![0]
  }

  /** The same things in another order. */
  shuffle<T>(list: readonly T[]): T[] {
    const shuffled = [...list]
    for (let at = shuffled.length - 1; at > 0; at -= 1) {
      const other = this.integer(at + 1)
      const held = shuffled[at]!
      shuffled[at] = shuffled[other]!
      shuffled[other] = held
    }
    return shuffled
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at += 1) bytes[at] = this.bits() >>> 24
    return bytes
  }

  /** Text of these characters. */
  text(length: number, alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'): string {
    const characters = [...alphabet]
    return Array.from({ length }, () => this.pick(characters)).join('')
  }
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}
