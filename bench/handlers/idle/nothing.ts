/** Has nothing at all: not even a timer, which would show while it waits. */
import { defineHandler } from 'millrace'

export default defineHandler({ run() {} })
