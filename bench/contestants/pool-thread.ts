/** A thread of a bare Piscina pool: parses a job and does its work, which `workerData` names. */
import { workerData } from 'node:worker_threads'
import { type WorkPayload, works } from '../measure/work.ts'

const work = works[String(workerData)]!()

export default (body: string): void | Promise<void> => work(JSON.parse(body) as WorkPayload)
