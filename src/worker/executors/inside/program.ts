// Owns loading a program and finding its tasks. Must not run any of them.
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'
import { type ErrorCode, isErrorCode, limits } from '../../../protocol/index.ts'
import { clipText } from '../../text.ts'

/** What a schema says to a value (Standard Schema, version 1). */
export interface SchemaResult {
  value?: unknown
  issues?: readonly { message: string; path?: readonly (PropertyKey | { key: PropertyKey })[] | undefined }[] | undefined
}

export interface Schema {
  '~standard': { validate(value: unknown): SchemaResult | Promise<SchemaResult> }
}

/** A task as its program exports it. */
export interface Definition {
  name: string
  run(input: unknown, context: unknown): unknown
  input?: Schema | undefined
  output?: Schema | undefined
  /** Names of the secrets that it uses. */
  secrets?: readonly string[] | undefined
}

export interface LoadFailure {
  code: ErrorCode
  message: string
  stack: string
}

/** A program could not be loaded, and why. */
export class ProgramError extends Error {
  readonly failure: LoadFailure

  constructor(failure: LoadFailure) {
    super(failure.message)
    this.failure = failure
  }
}

/** Lets packages that the program does not contain be found from the worker's own folder. */
export function resolvePackagesFrom(folder: string): void {
  const parentURL = pathToFileURL(`${folder}/package.json`).href
  registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context)
      } catch (error) {
        if (/^(?:[./]|[a-z]+:)/i.test(specifier)) throw error
        return next(specifier, { ...context, parentURL })
      }
    },
  })
}

/** The tasks of the program in this file, by name. Throws ProgramError. */
export async function loadProgram(path: string): Promise<Map<string, Definition>> {
  let loaded: { default?: { tasks?: unknown } }
  try {
    loaded = await import(pathToFileURL(path).href)
  } catch (error) {
    throw new ProgramError(loadFailure(error))
  }
  const tasks = loaded.default?.tasks
  if (typeof tasks !== 'object' || tasks === null) {
    throw new ProgramError({ code: 'PROGRAM_LOAD_FAILED', message: 'The program exports no tasks.', stack: '' })
  }
  const entries = tasks instanceof Map ? [...tasks] : Object.entries(tasks)
  return new Map(entries as [string, Definition][])
}

function loadFailure(error: unknown): LoadFailure {
  const { code, message, stack } =
    error instanceof Error ? (error as Error & { code?: unknown }) : { code: '', message: String(error), stack: '' }
  const told = clipText(stack ?? '', limits.errorBytesMax)
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') {
    const name = /(?:package|module) '([^']+)'/.exec(message)?.[1] ?? 'a module'
    return { code: 'MODULE_MISSING', message: clipText(`The program needs ${name}, which this worker does not have.`, 4000), stack: told }
  }
  if (code === 'CONNECT_WHILE_LOADING' && isErrorCode(code)) return { code, message: clipText(message, 4000), stack: told }
  return { code: 'PROGRAM_LOAD_FAILED', message: clipText(`The program failed while loading: ${message}`, 4000), stack: told }
}
