/** A sandboxed processor of BullMQ: one file a handler. */
import { works } from '../../build/bench/measure/work.js'

const work = works.pause()

export default async ({ data }) => work(data)
