import assert from 'node:assert/strict'
import { test } from 'node:test'
import { intervalRule, type TickSchedule } from '#src/core/tick-plan.js'
import { tickId } from '#src/core/ticks.js'
import { TickFence } from '#src/engine/tick-fence.js'
import { TickLoop } from '#src/engine/tick-loop.js'
import type { StoredTick, TickJob, TickStore } from '#src/engine/ticks-port.js'
import { heldJob, ManualClock } from '../support/fake-engine-parts.ts'
import { FakeTicks } from '../support/fake-ticks.ts'

const everyMs = 250
/** Ticks that have to run in each simulation. */
const slots = 80
const schedule: TickSchedule = {
  name: 'a',
  handler: 'a',
  rule: intervalRule(everyMs),
  catchUp: 'all',
  overlap: 'allow',
  jitterMs: 0,
  payload: undefined,
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The way of one supervisor to the broker: slow at times, answers get lost, and it can die at any moment. */
class Link implements TickStore {
  connected = true
  dead = false
  readonly #broker: FakeTicks
  readonly #clock: ManualClock
  readonly #random: () => number

  constructor(broker: FakeTicks, clock: ManualClock, random: () => number) {
    this.#broker = broker
    this.#clock = clock
    this.#random = random
  }

  read(name: string): Promise<StoredTick> {
    return this.#ask(() => this.#broker.read(name))
  }

  write(...request: Parameters<TickStore['write']>): Promise<number | undefined> {
    return this.#ask(() => this.#broker.write(...request))
  }

  publishJob(job: TickJob): Promise<{ sequence: number; duplicate: boolean }> {
    return this.#ask(() => this.#broker.publishJob(job))
  }

  isSettled(...request: Parameters<TickStore['isSettled']>): Promise<boolean> {
    return this.#ask(() => this.#broker.isSettled(...request))
  }

  async #ask<T>(request: () => Promise<T>): Promise<T> {
    const wasAlive = !this.dead
    await this.#pause()
    // What was sent before its sender died may still arrive.
    if (!wasAlive || (this.dead && this.#random() < 0.5)) return new Promise<never>(() => {})
    const answer = await request()
    await this.#pause()
    if (this.dead) return new Promise<never>(() => {})
    if (this.#random() < 0.03) throw new Error('the answer was lost')
    return answer
  }

  #pause(): Promise<void> {
    const delayMs = this.#random() < 0.03 ? this.#random() * 4_000 : this.#random() * 3
    return new Promise((resolve) => this.#clock.after(delayMs, resolve))
  }
}

/**
 * Three supervisors at a broker that forgets the id of a job as soon as it has run, so that every publish
 * that comes late stores a second job. Supervisors die and are replaced. Returns how often each tick ran.
 */
async function simulate(seed: number): Promise<{ runs: Map<number, number>; stored: number; from: number }> {
  const random = randomFrom(seed)
  const clock = new ManualClock()
  const broker = new FakeTicks()
  const from = clock.now()
  const runs = new Map<number, number>()
  const alive: { link: Link; loop: TickLoop }[] = []
  const after = (delayMs: number, then: () => void): void => void clock.after(delayMs, then)

  const start = (): void => {
    const link = new Link(broker, clock, random)
    const loop = new TickLoop(schedule, {
      store: link,
      clock,
      observer: broker,
      supervisorId: `s${random()}`,
    })
    loop.start()
    alive.push({ link, loop })
  }
  const kill = (): void => {
    const [victim] = alive.splice(Math.floor(random() * alive.length), 1)
    victim!.link.dead = true
    void victim!.loop.stop()
    after(random() * 1_500, start)
  }

  let delivered = 0
  const deliver = (sequence: number): void => {
    const { link } = alive[Math.floor(random() * alive.length)]!
    const { instant } = broker.jobs[sequence - 1]!
    let isAnswered = false
    const fence = new TickFence(link, clock, broker)
    void fence.admit(heldJob(sequence), { schedule: 'a', instant }, { kind: 'run' }).then(({ kind }) => {
      if (link.dead) return
      isAnswered = true
      if (kind === 'run') runs.set(instant, (runs.get(instant) ?? 0) + 1)
      broker.ids.delete(tickId('a', instant))
    })
    // Its lease runs out when whoever had it is dead.
    const look = (): void => {
      if (!isAnswered && link.dead) deliver(sequence)
      else if (!isAnswered) after(500, look)
    }
    after(500, look)
  }

  for (let count = 0; count < 3; count += 1) start()
  const go = async (durationMs: number): Promise<void> => {
    await clock.pass(durationMs)
    for (; delivered < broker.jobs.length; ) deliver(++delivered)
  }
  for (let step = 0; step < 200; step += 1) {
    if (alive.length > 1 && random() < 0.08) kill()
    await go(100)
  }
  // Stalls may have held them up; nobody dies any more.
  for (let step = 0; runs.size < slots && step < 300; step += 1) await go(500)
  for (const { loop } of alive) void loop.stop()
  for (let step = 0; step < 20; step += 1) await go(1_000)
  return { runs, stored: broker.jobs.length, from }
}

test('G7: whoever dies at whatever moment, each tick runs exactly once', async () => {
  let surplus = 0
  for (let seed = 1; seed <= 12; seed += 1) {
    const { runs, stored, from } = await simulate(seed)
    const expected = Array.from({ length: slots }, (_, index) => from + (index + 1) * everyMs)
    for (const instant of expected) {
      assert.equal(runs.get(instant), 1, `seed ${seed}: tick ${(instant - from) / everyMs}`)
    }
    assert.ok([...runs.values()].every((count) => count === 1))
    surplus += stored - runs.size
  }
  assert.ok(surplus > 0, 'no tick was published twice: the fence was not tried')
})
