import type { PoolName } from '../core/handler-definition.ts'
import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Lane } from './lanes-port.ts'

/** How long an ended thread, and then the last settlements, may take. */
const exitMs = 700
const settleMs = 700

/** The parts of the engine that a drain moves. */
export interface Drainable {
  readonly life: { readonly beginning: { draining: boolean; release(job: InFlightJob): void } }
  readonly pools: {
    readonly dispatchers: ReadonlyMap<PoolName, { takeAll(): InFlightJob[] }>
    lanes(): Iterable<Lane>
  }
  readonly gates: { takeAll(): InFlightJob[] }
  readonly settlement: { stop(): void; abandoned(): Promise<void>; recordsRemoved(): Promise<void> }
  readonly receipts: { confirm(): Promise<boolean> }
  /** `unsettled`: deliveries that are not settled yet although no thread works on them. */
  readonly inFlight: { readonly unsettled: number }
  readonly threads: {
    readonly stuckThreads: number
    onLaneChange: (() => void) | undefined
    isStuck(lane: Lane): boolean
  }
}

export interface DrainOrder {
  /** How long running jobs may go on. */
  readonly drainMs: number
  /** Resolves when somebody asks to hurry: what runs is killed at once. */
  readonly hurry: Promise<void>
  /** Resolves when no delivery can arrive any more. */
  readonly pullsEnded: Promise<void>
}

export interface DrainReport {
  /** Jobs that were cut short and given back. */
  readonly interrupted: number
  /** Threads that did not end: their jobs come back when their leases expire. */
  readonly stuckThreads: number
}

/**
 * Brings the engine to rest.
 *
 * 1. What waits for a thread is given back at once; what runs goes on.
 * 2. After `drainMs`, or at once when hurried: what has not begun is given back, the signals of what
 *    runs are aborted, and after their grace their threads are killed.
 * 3. The last settlements are sent, and the server is asked whether it has them.
 */
export async function drain(engine: Drainable, clock: Clock, order: DrainOrder): Promise<DrainReport> {
  let hurried = false
  void order.hurry.then(() => {
    hurried = true
  })
  let changed = (): void => {}
  engine.threads.onLaneChange = () => changed()
  const until = (condition: () => boolean, limitMs: number, cutShort: Promise<void>): Promise<void> =>
    new Promise((resolve) => {
      const finish = (): void => {
        cancel()
        changed = () => {}
        resolve()
      }
      const cancel = clock.after(limitMs, finish)
      changed = () => {
        if (condition()) finish()
      }
      changed()
      void cutShort.then(finish)
    })
  const never = new Promise<void>(() => {})

  engine.life.beginning.draining = true
  for (const dispatcher of engine.pools.dispatchers.values())
    for (const job of dispatcher.takeAll()) engine.life.beginning.release(job)
  for (const job of engine.gates.takeAll()) engine.life.beginning.release(job)

  const isIdle = (): boolean => busyLanes(engine).length === 0
  await until(isIdle, order.drainMs, order.hurry)

  let interrupted = 0
  if (!isIdle()) {
    const running = interrupt(engine)
    interrupted = running.length
    const graceMs = hurried ? 0 : Math.max(0, ...running.map((job) => job.handler.profile.graceMs))
    await until(isIdle, graceMs, order.hurry)
    for (const lane of busyLanes(engine)) lane.kill('shutdown')
    await until(isIdle, exitMs, never)
  }
  await Promise.race([order.pullsEnded, sleep(clock, exitMs * 2)])
  engine.settlement.stop()
  const settleBy = clock.monotonicMs() + settleMs
  while (engine.inFlight.unsettled > 0 && clock.monotonicMs() < settleBy) await sleep(clock, 10)
  // Behind the answer nothing more arrives that had to be let go of.
  const { settlement } = engine
  const certain = engine.receipts
    .confirm()
    .then(() => Promise.all([settlement.abandoned(), settlement.recordsRemoved()]))
  await Promise.race([certain, sleep(clock, settleMs)])
  return { interrupted, stuckThreads: engine.threads.stuckThreads }
}

/** Lanes with jobs on them; a stuck one will not change any more. */
function busyLanes(engine: Drainable): Lane[] {
  return [...engine.pools.lanes()].filter((lane) => lane.outstanding > 0 && !engine.threads.isStuck(lane))
}

/** Gives back what has not begun, and tells the rest to stop. */
function interrupt(engine: Drainable): InFlightJob[] {
  const running: InFlightJob[] = []
  for (const lane of busyLanes(engine)) {
    for (const job of lane.jobs()) {
      if (lane.takeBack(job)) {
        engine.life.beginning.release(job)
        continue
      }
      running.push(job)
      if (job.abortCode !== undefined) continue
      job.abortCode = 'shutdown'
      lane.abort(job, 'shutdown')
    }
  }
  return running
}

function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve)
  })
}
