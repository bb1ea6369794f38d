import type { HandlerFunction } from '../core/handler-definition.ts'
import type { EnqueueOptions, JobToEnqueue } from './new-job.ts'

/** What a client knows of handlers when it is told nothing: that they have names. */
export type AnyHandlers = Record<string, HandlerFunction>

/** The names of handlers. */
export type HandlerName<Handlers> = keyof Handlers & string

/** The default export of a handler's file, or the handler itself. */
type Definition<Handler> = Handler extends { readonly default: infer Exported } ? Exported : Handler

type Run<Handler> =
  Definition<Handler> extends { run: infer Method extends (...rest: never[]) => unknown }
    ? Method
    : Definition<Handler>

type ArgumentOf<Handler> =
  Run<Handler> extends (payload: infer Payload, ...rest: never[]) => unknown ? Payload : unknown

type SchemaOf<Handler> = Definition<Handler> extends { schema?: infer Schema } ? NonNullable<Schema> : unknown

type InputOf<Schema> = Schema extends { readonly '~standard': { readonly types?: infer Types } }
  ? NonNullable<Types> extends { readonly input: infer Input }
    ? Input
    : unknown
  : unknown

/** What may be enqueued for a handler: what its schema takes, or without one what its function does. */
export type PayloadOf<Handlers, Name extends HandlerName<Handlers>> =
  unknown extends InputOf<SchemaOf<Handlers[Name]>>
    ? ArgumentOf<Handlers[Name]>
    : InputOf<SchemaOf<Handlers[Name]>>

/** What a handler returns; who waits for it gets what JSON makes of that. */
export type ResultOf<Handlers, Name extends HandlerName<Handlers>> =
  Run<Handlers[Name]> extends (...rest: never[]) => infer Result ? Awaited<Result> : unknown

/** The rest of the arguments of `enqueue`: a payload that cannot be undefined cannot be left out. */
export type EnqueueArguments<Payload> = undefined extends Payload
  ? [payload?: Payload, options?: EnqueueOptions]
  : [payload: Payload, options?: EnqueueOptions]

type PayloadField<Payload> = undefined extends Payload ? { payload?: Payload } : { payload: Payload }

type NamedJob<Handlers> = {
  [Name in HandlerName<Handlers>]: EnqueueOptions & { handler: Name } & PayloadField<
      PayloadOf<Handlers, Name>
    >
}[HandlerName<Handlers>]

type UnnamedJob<Payload> = EnqueueOptions & { handler?: undefined } & PayloadField<Payload>

/** One of the jobs of `enqueueMany`; `Shared` is the handler of those that name none. */
export type JobOf<Handlers, Shared extends HandlerName<Handlers> = never> = string extends keyof Handlers
  ? JobToEnqueue
  : NamedJob<Handlers> | ([Shared] extends [never] ? never : UnnamedJob<PayloadOf<Handlers, Shared>>)
