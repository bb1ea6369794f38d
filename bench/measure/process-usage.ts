import { readFileSync } from 'node:fs'

/** Linux counts CPU time for `/proc` in hundredths of a second on every architecture. */
const ticksPerSecond = 100

/** User and system time of all threads of a process so far, in ms; NaN where there is no `/proc`. */
export function cpuMsOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in brackets, may hold spaces; the fields after it are counted from the third.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1_000
  } catch {
    return Number.NaN
  }
}

/** Memory of a process that is in RAM, in MB of 2^20 bytes; NaN where there is no `/proc`. */
export function rssMbOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) / 1_024
  } catch {
    return Number.NaN
  }
}
