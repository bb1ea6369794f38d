import { readdirSync, readFileSync } from 'node:fs'

/**
 * CPU time that all threads of a process have used so far, in ms; NaN where there is no `/proc`. Time
 * of threads that have ended is missing, so compare two readings only while threads stay.
 */
export function cpuMsOf(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    // `/proc/<pid>/stat` counts in steps of 10 ms, which is much for an idle process; this is in ns.
    const times = threads.map((id) =>
      Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]),
    )
    return times.reduce((sum, ns) => sum + ns, 0) / 1e6
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
