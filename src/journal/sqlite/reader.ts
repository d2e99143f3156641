// Owns the reader's thread: rows, payloads, sizes, snapshots' files, and checkpoints of the write-ahead log, none of which may delay an append.
// Must not change the journal.
import { workerData } from 'node:worker_threads'
import { fault, readFault, toWire } from './faults.ts'
import { Library } from './library.ts'
import { SnapshotFiles } from './snapshots.ts'
import type { FromReader, Question, ReaderStart } from './wire.ts'

const { folder, port, checkpoints } = workerData as ReaderStart

function say(message: FromReader, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer)
}

function log(level: 'info' | 'warn' | 'error', event: string, fields: Record<string, unknown> = {}): void {
  say({ kind: 'log', level, event, fields })
}

/** The memory of these bytes if it is theirs alone, so that it can be handed over instead of copied. */
function own(bytes: Uint8Array | undefined): ArrayBuffer[] {
  if (bytes === undefined || !(bytes.buffer instanceof ArrayBuffer) || bytes.byteLength !== bytes.buffer.byteLength) return []
  return [bytes.buffer]
}

function answer(library: Library, snapshots: SnapshotFiles, question: Question): { value?: unknown; transfer?: ArrayBuffer[] } {
  switch (question.ask) {
    case 'read':
      return { value: library.read(question.fromIndex, question.rowsMax) }
    case 'payload': {
      const value = library.payload(question.payload)
      return { value, transfer: own(value) }
    }
    case 'history':
      return { value: library.history(question.query) }
    case 'historyRow':
      return { value: library.historyRow(question.job) }
    case 'size':
      return { value: library.size() }
    case 'view':
      return { value: library.view() }
    case 'latestSnapshot': {
      const value = snapshots.latest(log)
      return { value, transfer: own(value?.state) }
    }
    case 'beginSnapshot':
      return { value: snapshots.begin(question.snapshot) }
    case 'addToSnapshot':
      return { value: snapshots.add(question.piece) }
    case 'endSnapshot':
      return { value: snapshots.end() }
    case 'payloadIds':
      return { value: library.payloadIds(question.after, question.idsMax) }
    case 'snapshots':
      return { value: snapshots.list() }
    case 'problems':
      return { value: library.problems() }
    case 'close':
      library.close()
      snapshots.close()
      return {}
  }
}

function writes({ ask }: Question): boolean {
  return ask === 'beginSnapshot' || ask === 'addToSnapshot' || ask === 'endSnapshot'
}

function serve(library: Library, snapshots: SnapshotFiles): void {
  port.on('message', ({ number, question }: { number: number; question: Question }) => {
    try {
      const { value, transfer } = answer(library, snapshots, question)
      say({ kind: 'answer', number, value }, transfer)
    } catch (error) {
      const ours = writes(question)
        ? fault(error, 'JOURNAL_WRITE_FAILED', `The snapshot in ${folder} was not written`)
        : readFault(error, folder)
      say({ kind: 'answer', number, error: toWire(ours) })
    }
    if (question.ask !== 'close') return
    port.close()
    checkpoints?.close()
  })
  checkpoints?.on('message', () => {
    try {
      library.checkpoint()
    } catch (error) {
      say({ kind: 'failed', error: toWire(fault(error, 'JOURNAL_WRITE_FAILED', `The write-ahead log in ${folder} was not checkpointed`)) })
    }
  })
}

// The files may not be there yet: the writer's thread makes them while this one loads.
port.once('message', () => {
  try {
    const library = new Library(folder, checkpoints !== undefined)
    serve(library, new SnapshotFiles(folder, library.database))
    say({ kind: 'ready' })
  } catch (error) {
    say({ kind: 'refused', error: toWire(fault(error, 'STATE_FOLDER_UNUSABLE', `The journal in ${folder} does not open`)) })
    port.close()
    checkpoints?.close()
  }
})
