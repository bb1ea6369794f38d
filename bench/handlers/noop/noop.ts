import { defineHandler } from 'millrace'
import { type WorkPayload, works } from '../../measure/work.ts'

export default defineHandler<WorkPayload>({ run: works.noop!() })
