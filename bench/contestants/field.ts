import { bare, naive, raw } from './bare.ts'
import type { Contestant } from './contestant.ts'
import { millrace } from './millrace.ts'
import { peers } from './peers.ts'

/** Everybody who can drain a queue of no-op jobs, what everything is compared with first. */
export const field: readonly Contestant[] = [bare, raw, millrace, naive, ...peers]
