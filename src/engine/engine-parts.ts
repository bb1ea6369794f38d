import type { Random } from '../core/backoff.ts'
import type { PoolName } from '../core/handler-definition.ts'
import { Admission, type HeaderLimits } from './admission.ts'
import { ArrivalAge } from './arrival-age.ts'
import type { Broker } from './broker-port.ts'
import { Cancels } from './cancels.ts'
import type { Clock } from './clock-port.ts'
import { Controls } from './controls.ts'
import { Deadlines } from './deadlines.ts'
import type { DelayedJobs } from './delayed-jobs-port.ts'
import { Delayer } from './delayer.ts'
import { Finished } from './finished.ts'
import { Gates } from './gates.ts'
import type { HandlerProfile } from './handler-profile.ts'
import { HandlerState } from './handler-state.ts'
import { Heartbeat } from './heartbeat.ts'
import { InFlight } from './in-flight.ts'
import type { InFlightJob } from './in-flight-job.ts'
import { JobLife } from './job-life.ts'
import { KeyGate } from './key-gate.ts'
import { LimitGate } from './limit-gate.ts'
import { Locator } from './locator.ts'
import { Marks } from './marks.ts'
import { Mover } from './mover.ts'
import type { Observer } from './observer-port.ts'
import { OwnRecords } from './own-records.ts'
import { Owners } from './owners.ts'
import { Pools } from './pools.ts'
import type { Room } from './pull-loop.ts'
import { Receipts } from './receipts.ts'
import { ReplayFence } from './replay-fence.ts'
import { lookAgain } from './second-look.ts'
import { Settlement } from './settlement.ts'
import type { SharedState } from './shared-state-port.ts'
import { SilenceWatch } from './silence-watch.ts'
import { StartWatch } from './start-watch.ts'
import { Suspects } from './suspects.ts'
import { ThreadlessPools } from './threadless-pools.ts'
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
  /** Ask a thread where its attempt is before it is killed for that. @default false */
  readonly autopsy?: boolean
  /** So many finished jobs of each stream are remembered; a power of two. @default 131072 */
  readonly finishedSlots?: number
  restartWanted(stuckThreads: number): void
  /** The server is to know which handlers are paused. */
  pauseKnown?(handler: string, paused: boolean): void
}

/**
 * Makes every part of the engine and tells each which others it knows. The parts that know each other both ways
 * meet here in functions, which are called only when everything is made.
 */
export class EngineParts {
  readonly handlers: readonly HandlerState[]
  readonly limits: LimitGate
  readonly gates: Gates
  readonly inFlight: InFlight
  readonly finished: Finished
  readonly receipts: Receipts
  readonly ownRecords = new OwnRecords()
  readonly pools: Pools
  readonly deadlines: Deadlines
  readonly starts: StartWatch
  readonly silences: SilenceWatch
  readonly threadless: ThreadlessPools
  readonly settlement: Settlement
  readonly mover: Mover | undefined
  readonly life: JobLife
  readonly owners: Owners
  readonly heartbeat: Heartbeat
  readonly locator: Locator
  readonly arrivalAge: ArrivalAge
  readonly controls: Controls

  constructor(options: EngineOptions) {
    const { broker, shared, delayed, clock, observer, ackWaitMs, supervisorId } = options
    const handlers = options.handlers.map((profile, index) => new HandlerState(profile, index))
    const roomChanged = (handler: HandlerState): void => this.pools.roomChanged(handler)
    const pass = (job: InFlightJob): void => this.gates.pass(job)
    const lanes = () => this.pools.lanes()
    this.handlers = handlers
    this.finished = new Finished(options.finishedSlots)

    this.limits = new LimitGate({ ...options, handlers, pass })
    const marks = new Marks(broker, observer)
    const keys = new KeyGate(clock, marks, {
      pass,
      mayBegin: (handler) => this.owners.mayBegin(handler),
      disturbed: (handler, leaseLost) => this.owners.disturbed(handler, leaseLost),
    })
    const isThere = (job: InFlightJob): Promise<boolean> =>
      broker.isStored(job.stream, job.sequence).catch(() => true)
    const suspects = new Suspects(clock, marks, {
      pass,
      lookAgain: (job) => lookAgain(job, broker),
      gone: (job) => this.life.interruption.settledElsewhere(job),
    })
    const gates = new Gates([keys, this.limits, suspects], {
      parked: (job) => this.life.beginning.parked(job),
      through: (job) => this.life.beginning.through(job),
    })
    this.gates = gates

    const inFlight = new InFlight((job) => gates.settled(job))
    this.inFlight = inFlight
    const receipts = new Receipts(broker, clock, observer, (askedAt) => this.arrivalAge.answered(askedAt))
    this.receipts = receipts
    const deadlines = new Deadlines(clock, lanes, options.autopsy ?? false)
    this.deadlines = deadlines
    this.starts = new StartWatch(clock, {
      lanes,
      sayStarted: (job, threadId, startedAt) => this.life.end.sayStarted(job, threadId, startedAt),
    })
    this.silences = new SilenceWatch(clock, lanes, (lane) => this.life.interruption.laneSilent(lane))
    this.pools = new Pools({
      broker,
      clock,
      handlers,
      rooms: options.rooms,
      held: () => inFlight.size,
      parkRoom: (handler) => gates.parkRoom(handler),
      posted: (jobs) => this.#posted(jobs),
      takenBack: (jobs) => this.life.beginning.requeue(jobs),
    })

    this.threadless = new ThreadlessPools(clock, ackWaitMs, {
      lanesOf: (pool) => this.pools.dispatchers.get(pool)!.lanes,
      handlersOf: (pool) => handlers.filter((handler) => handler.profile.pool === pool),
      changed: (pool, ofThePool, threadless) => {
        observer.poolThreadless(pool, threadless)
        if (threadless) for (const handler of ofThePool) this.life.beginning.giveBack(handler)
        else this.pools.pullAll()
      },
    })

    const { finished, ownRecords } = this
    const cancels = new Cancels(shared, clock)
    const isCancelled = (job: InFlightJob): boolean => cancels.has(job)
    const settlement = new Settlement({
      broker,
      clock,
      observer,
      inFlight,
      finished,
      receipts,
      ownRecords,
      ackWaitMs,
      cancels,
    })
    this.settlement = settlement
    const delayer = new Delayer({ delayed, clock, observer, settlement, roomChanged })
    if (delayed) this.mover = new Mover({ delayed, broker, clock, observer, ackWaitMs })
    this.arrivalAge = new ArrivalAge({ broker, clock, ackWaitMs }, () => this.heartbeat.beat())
    const fence = new TickFence(options.ticks, clock, options.tickObserver)
    const replayFence = new ReplayFence(broker, clock, observer)
    this.life = new JobLife({
      broker,
      clock,
      observer,
      random: options.random,
      supervisorId,
      handlers: new Map(handlers.map((handler) => [handler.profile.name, handler])),
      inFlight,
      finished,
      admission: new Admission({
        broker,
        clock,
        observer,
        limits: options.limits,
        ownRecords,
        fence,
        isThere,
        replayFence,
        isCancelled,
      }),
      settlement,
      gates,
      marks,
      delayer,
      suspects,
      arrivalAge: this.arrivalAge,
      ackWaitMs,
      isCancelled,
      lanes,
      dispatcherOf: (job) => this.pools.dispatcherOf(job),
      roomChanged,
    })

    const { life } = this
    this.locator = new Locator({ clock, inFlight, supervisorId, examines: options.autopsy ?? false })
    this.owners = new Owners({
      shared,
      broker,
      clock,
      observer,
      inFlight,
      life,
      gate: keys,
      supervisorId,
      ackWaitMs,
      handlers,
      roomChanged,
    })
    this.heartbeat = new Heartbeat({
      broker,
      clock,
      inFlight,
      ackWaitMs,
      lost: (job) => life.interruption.leaseLost(job),
      late: (lateMs) => observer.heartbeatLate(lateMs),
    })
    this.controls = new Controls({
      shared,
      clock,
      observer,
      handlers,
      inFlight,
      life,
      settlement,
      deadlines,
      cancels,
      resumed: roomChanged,
      pauseKnown: (handler, paused) => options.pauseKnown?.(handler, paused),
    })
  }

  #posted(jobs: readonly InFlightJob[]): void {
    let shortestMs = Number.POSITIVE_INFINITY
    for (const job of jobs) if (job.deadlineMs < shortestMs) shortestMs = job.deadlineMs
    this.deadlines.watch(shortestMs)
    this.starts.watch()
    this.silences.watch()
  }
}
