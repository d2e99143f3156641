// Owns what the facts about programs do to the state. Must not choose anything.
import type { RecordOf } from '../../protocol/index.ts'
import type { State } from '../state.ts'

export function applyProgramAdded(state: State, record: RecordOf<'ProgramAdded'>): void {
  state.programs.byId.set(record.program, {
    id: record.program,
    payload: record.payload,
    bytes: record.bytes,
    users: 0,
    idleSinceMs: state.nowMs,
  })
  state.nextPayload = Math.max(state.nextPayload, record.payload + 1)
}

export function applyProgramForgotten(state: State, record: RecordOf<'ProgramForgotten'>): void {
  const program = state.programs.byId.get(record.program)
  if (!program) throw new Error(`no program ${record.program}`)
  state.programs.byId.delete(record.program)
  state.payloadDrops.push(program.payload)
}
