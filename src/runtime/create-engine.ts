import type { Settings } from '../config/settings.ts'
import { Engine } from '../engine/engine.ts'
import type { HandlerProfile } from '../engine/handler-profile.ts'
import type { Observer } from '../engine/observer-port.ts'
import type { TickObserver } from '../engine/ticks-port.ts'
import type { JetStreamBroker } from '../nats/jetstream-broker.ts'
import { systemClock } from './clock.ts'
import { roomsOf } from './handler-profiles.ts'

/** Gives the engine its ports and what the settings say. */
export function createEngine(about: {
  readonly settings: Settings
  readonly supervisorId: string
  readonly broker: JetStreamBroker
  readonly profiles: readonly HandlerProfile[]
  readonly observer: Observer
  readonly tickObserver: TickObserver
  restartWanted(stuckThreads: number): void
}): Engine {
  const { settings, supervisorId, broker, profiles, observer, tickObserver } = about
  return new Engine({
    broker,
    shared: broker.control,
    delayed: broker.delayed,
    clock: systemClock,
    observer,
    ticks: broker.ticks,
    tickObserver,
    random: Math.random,
    supervisorId,
    handlers: profiles,
    rooms: roomsOf(profiles, settings),
    ackWaitMs: settings.ackWaitMs,
    limits: { deadlineLimitMs: settings.deadlineLimitMs, attemptsLimit: settings.attemptsLimit },
    stuckLimit: settings.threads,
    autopsy: settings.autopsy === 'on',
    pauseKnown: (handler, paused) => broker.consumerPauses.set(handler, paused),
    restartWanted: (stuckThreads) => about.restartWanted(stuckThreads),
  })
}
