/** A short healthy job beside those that have to be killed. */
import { defineHandler } from 'millrace'

export default defineHandler({ run() {} })
