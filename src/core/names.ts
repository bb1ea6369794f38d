/** The streams, subjects, consumers and buckets of one namespace: the names that DESIGN calls the contract. */
export interface Names {
  readonly namespace: string
  readonly jobStream: string
  readonly jobSubjects: string
  readonly deadStream: string
  readonly deadSubjects: string
  readonly attemptsBucket: string
  readonly controlBucket: string
  jobSubject(handler: string): string
  deadSubject(handler: string): string
  eventSubject(handler: string, event: string): string
}

/** Names everything for `namespace` (`[a-z0-9-]+`, checked by the settings). */
export function namesFor(namespace: string): Names {
  const upper = namespace.toUpperCase()
  return {
    namespace,
    jobStream: upper,
    jobSubjects: `${namespace}.>`,
    deadStream: `${upper}_DEAD`,
    deadSubjects: `dead.${namespace}.>`,
    attemptsBucket: `${namespace}_attempts`,
    controlBucket: `${namespace}_control`,
    jobSubject: (handler) => `${namespace}.${handler}`,
    deadSubject: (handler) => `dead.${namespace}.${handler}`,
    eventSubject: (handler, event) => `events.${namespace}.${handler}.${event}`,
  }
}

/** A durable's name. Handler names hold no `_`, so no two handlers share one. */
export function consumerName(handler: string): string {
  return handler.replaceAll('.', '_')
}

/** Whether `name` is one or more tokens `[A-Za-z0-9-]+` joined by dots. */
export function isHandlerName(name: string): boolean {
  return /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(name)
}
