import type { Random } from '../core/backoff.ts'
import type { PoolName } from '../core/handler-definition.ts'
import { type Priority, priorities } from '../core/names.ts'
import type { AttemptError, Outcome } from '../core/outcome.ts'
import { Admission, type HeaderLimits } from './admission.ts'
import type { Broker, BrokerListener, Delivery } from './broker-port.ts'
import { Cancels } from './cancels.ts'
import type { Clock } from './clock-port.ts'
import { Controls } from './controls.ts'
import { Deadlines } from './deadlines.ts'
import type { DelayedJobs } from './delayed-jobs-port.ts'
import { Delayer } from './delayer.ts'
import { Dispatcher } from './dispatcher.ts'
import { type DrainOrder, type DrainReport, drain } from './drain.ts'
import { Finished } from './finished.ts'
import { Gates } from './gates.ts'
import type { HandlerProfile } from './handler-profile.ts'
import { HandlerState } from './handler-state.ts'
import { Heartbeat } from './heartbeat.ts'
import { InFlight } from './in-flight.ts'
import type { InFlightJob } from './in-flight-job.ts'
import { JobLife } from './job-life.ts'
import { KeyGate } from './key-gate.ts'
import type { Lane, PoolListener, StartedJob } from './lanes-port.ts'
import { LimitGate } from './limit-gate.ts'
import { Marks } from './marks.ts'
import { Mover } from './mover.ts'
import type { Observer } from './observer-port.ts'
import { Owners } from './owners.ts'
import { PullLoop, type Room } from './pull-loop.ts'
import { Receipts } from './receipts.ts'
import { Settlement } from './settlement.ts'
import type { SharedState } from './shared-state-port.ts'
import { Suspects } from './suspects.ts'
import { TickFence } from './tick-fence.ts'
import type { TickObserver, TickStore } from './ticks-port.ts'

export interface EngineOptions {
  readonly broker: Broker
  readonly shared: SharedState
  /** Without it, jobs whose time has not come are given back until then. */
  readonly delayed?: DelayedJobs
  readonly clock: Clock
  readonly observer: Observer
  readonly ticks: TickStore
  readonly tickObserver: TickObserver
  readonly random: Random
  readonly supervisorId: string
  readonly handlers: readonly HandlerProfile[]
  readonly rooms: ReadonlyMap<PoolName, Room>
  readonly ackWaitMs: number
  readonly limits: HeaderLimits
  /** More threads than this that do not end, and the supervisor wants a restart. */
  readonly stuckLimit: number
  restartWanted(stuckThreads: number): void
  /** The server is to know which handlers are paused. */
  pauseKnown?(handler: string, paused: boolean): void
}

/** How long after the drain the release of handlers may take. */
const releaseMs = 500

/** How soon after a job was posted it is looked whether it runs. */
const startSaidMs = 20

/** Everything that moves, put together: what the broker and the threads say goes in here. */
export class Engine implements BrokerListener, PoolListener {
  readonly handlers: readonly HandlerState[]
  readonly inFlight: InFlight
  readonly gates: Gates
  readonly dispatchers = new Map<PoolName, Dispatcher>()
  readonly life: JobLife
  readonly settlement: Settlement
  readonly receipts: Receipts
  readonly owners: Owners
  readonly #options: EngineOptions
  readonly #finished = new Finished()
  readonly #pulls = new Map<PoolName, PullLoop>()
  readonly #deadlines: Deadlines
  readonly #heartbeat: Heartbeat
  readonly #limits: LimitGate
  readonly #controls: Controls
  readonly #mover: Mover | undefined
  readonly #stuck = new Set<Lane>()
  #onLaneChange: (() => void) | undefined
  #watchingStarts = false

  constructor(options: EngineOptions) {
    this.#options = options
    const { broker, clock, observer, ackWaitMs } = options
    this.handlers = options.handlers.map((profile, index) => new HandlerState(profile, index))
    this.#limits = new LimitGate({ ...options, handlers: this.handlers, pass: (job) => this.gates.pass(job) })
    const marks = new Marks(broker, observer)
    const keys = new KeyGate(clock, marks, {
      pass: (job) => this.gates.pass(job),
      mayBegin: (handler) => this.owners.mayBegin(handler),
      disturbed: (handler, leaseLost) => this.owners.disturbed(handler, leaseLost),
    })
    const suspects = new Suspects(clock, marks, (job) => this.gates.pass(job))
    this.gates = new Gates([keys, this.#limits, suspects], {
      parked: (job) => this.life.beginning.parked(job),
      through: (job) => this.life.beginning.through(job),
    })
    this.inFlight = new InFlight((job) => this.gates.settled(job))
    this.receipts = new Receipts(broker, clock, observer)
    this.#deadlines = new Deadlines(clock, () => this.lanes())
    for (const [pool, room] of options.rooms) {
      const handlers = this.handlers.filter((handler) => handler.profile.pool === pool)
      const hooks = {
        posted: (jobs: readonly InFlightJob[]) => this.#posted(jobs),
        takenBack: (jobs: readonly InFlightJob[]) => this.life.beginning.requeue(jobs),
      }
      const pulls = new PullLoop({
        broker,
        clock,
        handlers,
        room,
        held: () => this.inFlight.size,
        parkRoom: (handler) => this.gates.parkRoom(handler),
      })
      this.#pulls.set(pool, pulls)
      const expectedAbove = (priority: Priority) => pulls.expectedAbove(priority)
      this.dispatchers.set(pool, new Dispatcher(pool, clock, { ...hooks, expectedAbove }))
    }
    const { inFlight, receipts } = this
    const finished = this.#finished
    const cancels = new Cancels(options.shared, clock)
    this.settlement = new Settlement({
      broker,
      clock,
      observer,
      inFlight,
      finished,
      receipts,
      ackWaitMs,
      cancels,
    })
    const delayer = new Delayer({
      delayed: options.delayed,
      clock,
      observer,
      settlement: this.settlement,
      roomChanged: (handler) => this.#pulls.get(handler.profile.pool)!.schedule(),
    })
    if (options.delayed)
      this.#mover = new Mover({ delayed: options.delayed, broker, clock, observer, ackWaitMs })
    this.life = new JobLife({
      broker,
      clock,
      observer,
      random: options.random,
      supervisorId: options.supervisorId,
      handlers: new Map(this.handlers.map((handler) => [handler.profile.name, handler])),
      inFlight,
      finished,
      admission: new Admission({
        broker,
        clock,
        observer,
        limits: options.limits,
        fence: new TickFence(options.ticks, clock, options.tickObserver),
        isCancelled: (job) => cancels.has(job),
      }),
      settlement: this.settlement,
      gates: this.gates,
      delayer,
      suspects,
      isCancelled: (job) => cancels.has(job),
      lanes: () => this.lanes(),
      dispatcherOf: (job) => this.dispatchers.get(job.handler.profile.pool)!,
      roomChanged: (handler) => this.#pulls.get(handler.profile.pool)!.schedule(),
    })
    this.owners = new Owners({
      shared: options.shared,
      broker,
      clock,
      observer,
      inFlight,
      life: this.life,
      gate: keys,
      supervisorId: options.supervisorId,
      ackWaitMs,
      handlers: this.handlers,
      roomChanged: (handler) => this.#pulls.get(handler.profile.pool)!.schedule(),
    })
    this.#heartbeat = new Heartbeat({
      broker,
      clock,
      inFlight,
      ackWaitMs,
      lost: (job) => this.life.interruption.leaseLost(job),
    })
    this.#controls = new Controls({
      shared: options.shared,
      clock,
      observer,
      handlers: this.handlers,
      inFlight,
      life: this.life,
      settlement: this.settlement,
      deadlines: this.#deadlines,
      cancels,
      resumed: (handler) => this.#pulls.get(handler.profile.pool)!.schedule(),
      pauseKnown: (handler, paused) => options.pauseKnown?.(handler, paused),
    })
  }

  /** Learns what is paused and cancelled; to be awaited before `start`. Never rejects. */
  async obeyControls(): Promise<void> {
    await this.#controls.start()
  }

  start(): void {
    this.#heartbeat.start()
    this.#mover?.start()
    this.owners.begin()
  }

  *lanes(): Generator<Lane> {
    for (const dispatcher of this.dispatchers.values()) yield* dispatcher.lanes
  }

  /** Stops taking, lets run, interrupts the rest and gives it back; see G8. */
  async drain(order: DrainOrder): Promise<DrainReport> {
    for (const pulls of this.#pulls.values()) pulls.stop()
    this.#mover?.stop()
    let drained = (): void => {}
    const leaving = this.owners.leave(
      new Promise<void>((resolve) => {
        drained = resolve
      }),
    )
    const report = await drain(this, this.#options.clock, order, (changed) => {
      this.#onLaneChange = changed
    })
    await this.#limits.stop()
    const cancel = this.#options.clock.after(releaseMs, drained)
    await leaving
    cancel()
    this.#heartbeat.stop()
    this.#deadlines.stop()
    this.#controls.stop()
    return report
  }

  delivered(delivery: Delivery): void {
    this.life.arrival.delivered(delivery)
  }

  creditReturned(handler: string, priority: Priority, count: number): void {
    const state = this.handlers.find((candidate) => candidate.profile.name === handler)
    if (!state) return
    state.sources[priority].returned(count)
    this.#pulls.get(state.profile.pool)!.schedule()
  }

  sourceBound(handler: string, priority: Priority): void {
    const state = this.handlers.find((candidate) => candidate.profile.name === handler)
    if (!state) return
    state.sources[priority].bound = true
    this.#pulls.get(state.profile.pool)!.schedule()
  }

  reconnected(): void {
    this.receipts.repeat()
    this.#heartbeat.beat()
    this.#limits.reconnected()
    this.#mover?.reconnected()
    this.#pullAll()
  }

  disconnected(): void {
    for (const { sources } of this.handlers) for (const priority of priorities) sources[priority].credit = 0
    this.#mover?.disconnected()
  }

  streamReplaced(stream: string, createdAt: number): void {
    this.receipts.forget(stream)
    for (const job of [...this.inFlight.all()]) {
      if (job.stream === stream && job.storedAt < createdAt) this.life.interruption.orphan(job)
    }
  }

  laneReady(lane: Lane): void {
    const dispatcher = this.dispatchers.get(lane.pool)!
    dispatcher.lanes.push(lane)
    dispatcher.schedule()
  }

  jobEnded(lane: Lane, job: InFlightJob, outcome: Outcome, startedAt: number, durationMs: number): void {
    this.life.end.ended(job, outcome, { startedAt, durationMs, threadId: lane.threadId })
  }

  resultsHandled(): void {
    for (const dispatcher of this.dispatchers.values()) dispatcher.schedule()
    this.#onLaneChange?.()
  }

  laneEnded(
    lane: Lane,
    started: StartedJob[],
    unstarted: InFlightJob[],
    cause: AttemptError | undefined,
  ): void {
    this.#stuck.delete(lane)
    this.#forget(lane)
    const { endReason } = lane
    const culprit = started.find(({ job }) => job.abortCode === (endReason ?? 'deadline')) ?? started[0]
    if (culprit) culprit.job.threadId = lane.threadId
    if (cause || started.length > 0 || endReason === 'deadline' || endReason === 'cancelled') {
      this.#options.observer.threadKilled(lane, endReason ?? 'crash', culprit?.job)
    }
    this.life.interruption.laneEnded(lane, started, unstarted, cause)
    this.#onLaneChange?.()
  }

  laneStuck(lane: Lane): void {
    this.#stuck.add(lane)
    this.life.interruption.laneStuck(lane)
    if (this.#stuck.size === this.#options.stuckLimit + 1) this.#options.restartWanted(this.#stuck.size)
    this.#onLaneChange?.()
  }

  /** Pulls nothing more for these handlers: a thread could not load them. */
  withdraw(names: readonly string[]): void {
    for (const handler of this.handlers) if (names.includes(handler.profile.name)) handler.withdrawn = true
  }

  inFlightByHandler(): Map<string, number> {
    const counts = new Map(this.handlers.map((handler) => [handler.profile.name, 0]))
    for (const job of this.inFlight.all())
      counts.set(job.handler.profile.name, counts.get(job.handler.profile.name)! + 1)
    return counts
  }

  isStuck(lane: Lane): boolean {
    return this.#stuck.has(lane)
  }

  /** Whether each handler is paused. */
  pausedHandlers(): [handler: string, paused: boolean][] {
    return this.handlers.map(({ profile, paused }) => [profile.name, paused])
  }

  /** Deliveries that are not settled yet although no thread works on them. */
  get unsettled(): number {
    let count = 0
    for (const job of this.inFlight.all()) if (!job.lane) count += 1
    return count
  }

  get stuckThreads(): number {
    return this.#stuck.size
  }

  #forget(lane: Lane): void {
    const { lanes } = this.dispatchers.get(lane.pool)!
    const at = lanes.indexOf(lane)
    if (at >= 0) lanes.splice(at, 1)
  }

  #posted(jobs: readonly InFlightJob[]): void {
    let shortestMs = Number.POSITIVE_INFINITY
    for (const job of jobs) if (job.deadlineMs < shortestMs) shortestMs = job.deadlineMs
    this.#deadlines.watch(shortestMs)
    this.#watchStarts()
  }

  /** A job that runs for longer than this says that it began before it says how it ended. */
  #watchStarts(): void {
    if (this.#watchingStarts) return
    this.#watchingStarts = true
    this.#options.clock.after(startSaidMs, () => {
      this.#watchingStarts = false
      let unsaid = false
      for (const lane of this.lanes()) {
        for (const job of lane.jobs()) {
          const startedAt = lane.startedAt(job)
          if (startedAt !== undefined) this.life.end.sayStarted(job, lane.threadId, startedAt)
          else unsaid = true
        }
      }
      if (unsaid) this.#watchStarts()
    })
  }

  #pullAll(): void {
    for (const pulls of this.#pulls.values()) pulls.schedule()
  }
}
