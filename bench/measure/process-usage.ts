import { readdirSync, readFileSync } from 'node:fs'

/** Of the times in `/proc/<pid>/stat`. Linux has had no other for user space since 2.4. */
const ticksPerSecond = 100

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

/** CPU time of a process, of the children that it has now, and of those that have ended. */
export function familyCpuMsOf(pid: number): number {
  try {
    // After the name, which may hold anything, in brackets: state, parent, ….
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    const endedMs = ((Number(fields[13]) + Number(fields[14])) * 1_000) / ticksPerSecond
    const children = readdirSync(`/proc/${pid}/task`)
      .flatMap((id) => readFileSync(`/proc/${pid}/task/${id}/children`, 'utf8').trim().split(' '))
      .filter((child) => child !== '')
    return (
      cpuMsOf(pid) + endedMs + children.map((child) => cpuMsOf(Number(child)) || 0).reduce((a, b) => a + b, 0)
    )
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
