/** A healthy job beside those that have to be killed; it computes. */
import { defineHandler } from 'millrace'
import { burn, burnVariable } from '../../measure/work.ts'

const rounds = Number(process.env[burnVariable])

export default defineHandler({ run: () => burn(rounds) })
