import type { ProtocolOptions } from './model-world.ts'

/** Bounds, and what they are good for; the names begin with the guarantees that are looked at. */
type Explorations = Readonly<Record<string, Partial<ProtocolOptions>>>

/** Together less than half a minute of one core: `npm test` runs them. */
export const quickExplorations: Explorations = {
  'G1 G4 G5 G9: a job keeps its promises through any one fault, however its attempts end': {
    endings: ['complete', 'fail', 'permanent', 'hang', 'thread crash', 'process crash'],
  },
  'G4: a snooze stays uncharged through any one fault': { endings: ['complete', 'fail', 'snooze'] },
  'G4: an attempt whose record could not be read changes no later count': {
    maxAttempts: 3,
    kinds: ['answer loss'],
    endings: ['complete', 'fail', 'snooze'],
  },
  'G1 G2 G9: two supervisors share a job through any one fault': {
    supervisors: 2,
    endings: ['complete', 'fail', 'permanent'],
  },
  'G4 G5: who runs beside a job that kills its thread or its process completes': {
    jobs: 2,
    concurrency: 2,
    endings: ['complete', 'thread crash', 'process crash'],
  },
  'G4: who waits for a suspect and comes again meanwhile is not charged for that': {
    jobs: 2,
    concurrency: 2,
    maxAttempts: 3,
    kinds: ['stall', 'freeze', 'loss'],
    endings: ['complete', 'process crash'],
  },
  'G1 G4 G9: a job keeps its promises through two faults': {
    faults: 2,
    kinds: ['crash', 'stop', 'freeze', 'loss', 'answer loss'],
    endings: ['complete', 'fail'],
  },
}

/** For an hour or more: the fault run, and a day before a release. */
export const longExplorations: Explorations = {
  'G1 G4 G5 G9: any two faults, however attempts end': {
    faults: 2,
    endings: ['complete', 'fail', 'permanent', 'hang', 'snooze', 'thread crash', 'process crash'],
  },
  'G1 G2 G9: two supervisors, any two faults': { faults: 2, supervisors: 2, endings: ['complete', 'fail'] },
  'G4 G5: two jobs, any two faults': {
    faults: 2,
    jobs: 2,
    concurrency: 2,
    endings: ['complete', 'fail', 'thread crash', 'process crash'],
  },
  'G1 G4 G9: three attempts, any two faults': {
    faults: 2,
    maxAttempts: 3,
    endings: ['complete', 'fail', 'process crash'],
  },
  'G1 G4 G9: any three faults': { faults: 3, endings: ['complete', 'fail'] },
}
