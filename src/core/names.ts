/** How soon a job runs beside others of its pool; each has its own subjects and its own stream. */
export const priorities = ['high', 'normal', 'low'] as const
export type Priority = (typeof priorities)[number]

/** The streams, subjects, consumers and buckets of one namespace: the names that DESIGN calls the contract. */
export interface Names {
  readonly namespace: string
  readonly jobStream: string
  readonly jobSubjects: string
  readonly deadStream: string
  readonly deadSubjects: string
  readonly delayedStream: string
  readonly delayedSubjects: string
  /** Of the delayed stream's messages that the mover takes. */
  readonly dueSubjects: string
  readonly ticksStream: string
  readonly tickSubjects: string
  readonly attemptsBucket: string
  readonly controlBucket: string
  readonly resultsBucket: string
  /** The stream of the jobs of one priority. */
  streamOf(priority: Priority): string
  /** Every subject of the jobs of one priority. */
  subjectsOf(priority: Priority): string
  jobSubject(handler: string, priority?: Priority): string
  /** The stream of the jobs of a subject; undefined for a subject that no job of this namespace can have. */
  streamOfSubject(subject: string): string | undefined
  /** Where a job of the delayed stream waits, or comes to when it is due; `subject` is the job's own. */
  dueSubject(subject: string): string
  /** Where a schedule of the server waits: a subject of its own for each job. */
  scheduleSubject(stream: string, sequence: number, storedAt: number): string
  tickSubject(schedule: string): string
  deadSubject(handler: string): string
  /** Every event of every handler. */
  readonly eventSubjects: string
  eventSubject(handler: string, event: string): string
  /** Where supervisors are asked something. */
  askSubject(question: string): string
  /** Where their answers go; each question has a token of its own. */
  answerSubject(token: string): string
}

/** Names everything for `namespace` (`[a-z0-9-]+`, checked by the settings). */
export function namesFor(namespace: string): Names {
  const upper = namespace.toUpperCase()
  const prefix = (priority: Priority): string =>
    priority === 'normal' ? namespace : `${priority}.${namespace}`
  const streamOf = (priority: Priority): string =>
    priority === 'normal' ? upper : `${upper}_${priority.toUpperCase()}`
  return {
    namespace,
    jobStream: upper,
    jobSubjects: `${namespace}.>`,
    deadStream: `${upper}_DEAD`,
    deadSubjects: `dead.${namespace}.>`,
    delayedStream: `${upper}_DELAYED`,
    delayedSubjects: `delayed.${namespace}.>`,
    dueSubjects: `delayed.${namespace}.due.>`,
    ticksStream: `${upper}_TICKS`,
    tickSubjects: `ticks.${namespace}.>`,
    attemptsBucket: `${namespace}_attempts`,
    controlBucket: `${namespace}_control`,
    resultsBucket: `${namespace}_results`,
    streamOf,
    subjectsOf: (priority) => `${prefix(priority)}.>`,
    jobSubject: (handler, priority = 'normal') => `${prefix(priority)}.${handler}`,
    streamOfSubject(subject) {
      const fits = (priority: Priority): boolean => {
        const begin = `${prefix(priority)}.`
        return subject.startsWith(begin) && isHandlerName(subject.slice(begin.length))
      }
      const priority = priorities.find(fits)
      return priority && streamOf(priority)
    },
    dueSubject: (subject) => `delayed.${namespace}.due.${subject}`,
    scheduleSubject: (stream, sequence, storedAt) =>
      `delayed.${namespace}.at.${stream}.${sequence}.${storedAt}`,
    tickSubject: (schedule) => `ticks.${namespace}.${schedule}`,
    deadSubject: (handler) => `dead.${namespace}.${handler}`,
    eventSubjects: `events.${namespace}.>`,
    eventSubject: (handler, event) => `events.${namespace}.${handler}.${event}`,
    askSubject: (question) => `asks.${namespace}.${question}`,
    answerSubject: (token) => `answers.${namespace}.${token}`,
  }
}

/** A durable's name. Handler names hold no `_`, so no two handlers share one. */
export function consumerName(handler: string): string {
  return handler.replaceAll('.', '_')
}

/** The handler that has this consumer, see `consumerName`. */
export function handlerOfConsumer(consumer: string): string {
  return consumer.replaceAll('_', '.')
}

/** Whether `name` is one or more tokens `[A-Za-z0-9-]+` joined by dots. */
export function isHandlerName(name: string): boolean {
  return /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(name)
}
