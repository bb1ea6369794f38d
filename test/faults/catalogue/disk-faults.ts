import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../../support/eventually.ts'
import type { Fault } from '../fault.ts'
import { singleBroker } from './broker-faults.ts'

/** The disk of the broker is full, until an operator makes room and starts the broker again. */
const full: Fault = {
  name: 'disk full',
  powers: ['repeat', 'charge often', 'overlap', 'forget'],
  async strike(stage) {
    const { server } = singleBroker(stage)
    const filling = join(server.storeDir, 'filling')
    const isRefused = (): boolean =>
      [...stage.load.publications.values()].slice(-50).some(({ state }) => state !== 'accepted')
    try {
      execFileSync('dd', ['if=/dev/zero', `of=${filling}`, 'bs=64k'], { stdio: 'ignore' })
    } catch {
      // It ends when nothing more fits.
    }
    await eventually('the broker refuses jobs, or says nothing', isRefused, 60_000)
    rmSync(filling)
    await server.restart()
    return undefined
  },
}

/** What can happen to the disk of a broker whose store is small. */
export const diskFaults: readonly Fault[] = [full]

/**
 * Mounts a small disk of its own; undefined where that is not possible.
 *
 * @returns how to take it away again.
 */
export function mountSmallDisk(folder: string, megabytes: number): (() => void) | undefined {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder], { stdio: 'ignore' })
    return () => execFileSync('umount', ['-l', folder])
  } catch {
    return undefined
  }
}
