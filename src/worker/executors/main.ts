// Owns an executor process: it loads one program and runs tasks of it for the agent that started it.
// Must not be imported: it is started by host.ts.
import { AsyncLocalStorage } from 'node:async_hooks'
import { flushCompileCache } from 'node:module'
import { limits } from '../../protocol/index.ts'
import { clipText } from '../text.ts'
import type { SetupFrame, ToExecutor } from './frames.ts'
import type { Attempt } from './inside/attempt.ts'
import { InputBlocks } from './inside/blocks.ts'
import { errorFailure } from './inside/judge.ts'
import { type LaneHost, LaneRunner } from './inside/lane.ts'
import { Link } from './inside/link.ts'
import { Output } from './inside/output.ts'
import { type Definition, loadProgram, ProgramError, resolvePackagesFrom } from './inside/program.ts'
import { SecretQuestions } from './inside/secrets.ts'

/** By this the SDK knows that a program is being loaded by a worker. */
const executorMark = Symbol.for('coxswain.executor')
/** Exit code after an error that user code left uncaught. */
const uncaughtExitCode = 70
/** What was compiled is kept for the next process, once this one has got going. */
const keepCompiledAfterMs = 300

const lanes = new Map<number, LaneRunner>()
const contexts = new AsyncLocalStorage<Attempt>()
let host: LaneHost | undefined
let stopping = false
let last: Attempt | undefined
/** The process ends, and it is not known because of which task. */
let ambiguous = false

Object.assign(globalThis, { [executorMark]: true })
process.setSourceMapsEnabled(true)
// It is this process's own: what tasks start does not share it.
delete process.env['NODE_COMPILE_CACHE']
const link = new Link(handle)
const output = new Output(link)
output.capture(() => attribute()?.log)
process.on('exit', exiting)
process.on('uncaughtException', error => fault(error, true))
process.on('unhandledRejection', error => fault(error, false))

function handle(frame: ToExecutor): void {
  switch (frame.kind) {
    case 'setup':
      void setUp(frame)
      break
    case 'batch':
      if (host) laneFor(host, frame.lane, frame.from).receive(frame)
      break
    case 'cancel':
      lanes.get(frame.lane)?.cancel(frame.ranges)
      break
    case 'forget':
      lanes.get(frame.lane)?.forget()
      lanes.delete(frame.lane)
      break
    case 'blockReady':
      host?.blocks.answered(frame.block, { path: frame.path })
      break
    case 'blockFailed':
      host?.blocks.answered(frame.block, { code: frame.code, message: frame.message })
      break
    case 'secret':
      host?.secrets.answered(frame)
      break
    case 'stop':
      stopping = true
      for (const lane of lanes.values()) lane.current?.abort('WORKER_LOST', frame.reason)
      break
  }
}

async function setUp(frame: SetupFrame): Promise<void> {
  resolvePackagesFrom(frame.modules)
  let definitions: Map<string, Definition>
  try {
    definitions = await loadProgram(frame.programPath)
  } catch (error) {
    const failure =
      error instanceof ProgramError
        ? error.failure
        : { code: 'PROGRAM_LOAD_FAILED' as const, message: clipText(String(error), 4000), stack: '' }
    link.send({ kind: 'loadFailed', ...failure })
    return
  }
  host = {
    link,
    output,
    contexts,
    worker: frame.worker,
    shared: frame.shared,
    blocksFolder: frame.blocks,
    blocks: new InputBlocks(frame.blocks, link),
    definition: task => definitions.get(task),
    secrets: new SecretQuestions(link),
    secretsOf: task => definitions.get(task)?.secrets ?? [],
    get stopping() {
      return stopping
    },
  }
  link.send({ kind: 'ready' })
  setTimeout(flushCompileCache, keepCompiledAfterMs)
}

function laneFor(owner: LaneHost, id: number, from: number): LaneRunner {
  let lane = lanes.get(id)
  if (!lane) {
    lane = new LaneRunner(owner, id, from)
    lanes.set(id, lane)
  }
  return lane
}

/** The attempt that the code running now belongs to, as far as that can be known. */
function attribute(): Attempt | undefined {
  const known = contexts.getStore()
  if (known) last = known
  else if (!host?.shared) last = onlyRunning() ?? last
  else return undefined
  return last
}

function onlyRunning(): Attempt | undefined {
  for (const lane of lanes.values()) if (lane.current) return lane.current
  return undefined
}

function laneOf(attempt: Attempt): LaneRunner | undefined {
  return lanes.get(attempt.batch.lane)
}

/** The process ends by its own will: what has ended is sent, and because of which task it is, if that is known. */
function exiting(): void {
  if (ambiguous) {
    output.flush()
    return
  }
  const attempt = attribute()
  for (const lane of lanes.values()) lane.close()
  if (attempt) {
    output.end(attempt.log)
    link.send({ kind: 'exiting', lane: attempt.batch.lane, number: attempt.laneNumber })
  }
  output.flush()
}

/** An error that user code did not catch. The task fails that it comes from; if that is not known, the process ends, and the agent finds out. */
function fault(error: unknown, thrown: boolean): void {
  const attempt = contexts.getStore()
  const failure = errorFailure(error)
  if (attempt?.over) {
    attempt.write('system', clipText(`after its end: ${failure.stack || failure.message}`, limits.logLineBytesMax))
    if (!thrown) return
  } else if (attempt) {
    laneOf(attempt)?.failCurrent(failure)
  } else {
    ambiguous = true
    process.stderr.write(`${failure.stack || failure.message}\n`)
  }
  process.exit(uncaughtExitCode)
}
