import { encodePosition, whereQuestion } from '../core/job-position.ts'
import { namesFor } from '../core/names.ts'
import type { Locator } from '../engine/locator.ts'
import type { BrokerConnection } from '../nats/connection.ts'
import { Answers } from '../nats/questions.ts'

/** Answers, until it is closed, where a job is that this supervisor holds. */
export function answerWhere({ nc }: BrokerConnection, namespace: string, locator: Locator): Answers {
  const answers = new Answers(nc, namesFor(namespace), whereQuestion, async (id) => {
    const position = await locator.locate(id)
    return position && encodePosition(position)
  })
  answers.open()
  return answers
}
