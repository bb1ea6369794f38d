import type { HeaderEntry } from '../core/dead-letter.ts'
import { MillraceError } from '../core/errors.ts'

/** Something to be stored. Storing it twice must do no harm: it has a message id, or replaces what was there. */
export interface Publication {
  readonly subject: string
  /** The stream that is to take it. */
  readonly stream: string
  /** Dedupe key within the stream's duplicate window. */
  readonly id?: string
  readonly headers: readonly HeaderEntry[]
  readonly data: Uint8Array | string
}

/**
 * The header block as it goes over the wire, with the id as `Nats-Msg-Id`; empty when there is nothing to say.
 * Source: ADR-4, "NATS message headers".
 *
 * @throws {MillraceError} `invalid_job` when a name or value would break the block in two.
 */
export function headerBlock(id: string | undefined, headers: readonly HeaderEntry[]): string {
  if (id === undefined && headers.length === 0) return ''
  let block = 'NATS/1.0\r\n'
  for (const [name, value] of headers) {
    if (!/^[!-9;-~]+$/.test(name) || /[\r\n]/.test(value))
      throw new MillraceError('invalid_job', `the header ${JSON.stringify(name)} cannot be sent`)
    block += `${name}: ${value}\r\n`
  }
  if (id === undefined) return `${block}\r\n`
  if (/[\r\n]/.test(id))
    throw new MillraceError('invalid_job', 'the id of a message cannot have several lines')
  return `${block}Nats-Msg-Id: ${id}\r\n\r\n`
}
