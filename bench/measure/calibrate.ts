/**
 * Prints how many rounds of a job that computes take {@link burnMs} on this Node, by the best of several tries:
 * `node calibrate.js`. To be run by the Node under test, because OpenSSL is not equally fast in all of them.
 */
import { burn, burnMs } from './work.ts'

const rounds = 10_000
const tries = Array.from({ length: 24 }, () => {
  const began = performance.now()
  burn(rounds)
  return performance.now() - began
})
process.stdout.write(`${Math.round((rounds * burnMs) / Math.min(...tries))}\n`)
