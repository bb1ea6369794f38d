import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { diskFaults, mountSmallDisk } from './catalogue/disk-faults.ts'
import { testFaults } from './matrix.ts'
import { SingleBroker } from './stage-broker.ts'

testFaults('G1 G9: nothing is lost when the disk of the broker is full', diskFaults, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-small-disk-'))
  const unmount = mountSmallDisk(folder, 48)
  t.after(() => {
    unmount?.()
    rmSync(folder, { recursive: true })
  })
  return unmount ? SingleBroker.start(folder) : 'needs to mount a file system'
})
