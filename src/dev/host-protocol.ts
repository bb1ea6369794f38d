import type { HandlerFault } from '../threads/lane-protocol.ts'

/** What `millrace dev` tells the process that runs the handlers. */
export type HostOrder =
  /** Run these handlers from now on, those in `folder`; without one, none. */
  | {
      readonly kind: 'run'
      readonly generation: number
      readonly folder: string | undefined
      /** Handlers that may not load; when one of them does not, nothing is changed. */
      readonly untried: readonly string[]
    }
  /** Drain and end; said again: without waiting. */
  | { readonly kind: 'stop' }

/** What that process answers to an order to run. */
export type HostAnswer =
  | { readonly kind: 'running'; readonly generation: number; readonly url: string | undefined }
  /** The last ones go on. */
  | { readonly kind: 'refused'; readonly generation: number; readonly faults: readonly HandlerFault[] }
  | {
      readonly kind: 'failed'
      readonly generation: number
      readonly code: string
      readonly message: string
    }

/** What that process says besides: nothing of a folder is needed any more. */
export interface HostRetired {
  readonly kind: 'retired'
  readonly folder: string
}
