// Owns what the facts about programs do to the state. Must not choose anything.
import type { RecordOf } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import type { Program } from './state.ts'

function programOf(state: State, id: string): Program {
  const program = state.programs.byId.get(id)
  if (!program) throw new Error(`no program ${id}`)
  return program
}

export function applyProgramAdded(state: State, record: RecordOf<'ProgramAdded'>): void {
  const { program: id, payload, bytes } = record
  const program = { id, payload, bytes, users: 0, idleSinceMs: state.nowMs }
  state.programs.byId.set(id, program)
  state.programs.idle.add(program)
  state.nextPayload = Math.max(state.nextPayload, record.payload + 1)
}

export function applyProgramForgotten(state: State, record: RecordOf<'ProgramForgotten'>): void {
  const program = programOf(state, record.program)
  state.programs.byId.delete(record.program)
  state.programs.idle.delete(program)
  state.payloadDrops.push(program.payload)
}

/** A stage of an unfinished job runs the program. */
export function useProgram(state: State, id: string): void {
  const program = programOf(state, id)
  program.users++
  state.programs.idle.delete(program)
}

/** A stage that ran the program is over. */
export function leaveProgram(state: State, id: string): void {
  const program = programOf(state, id)
  if (--program.users > 0) return
  program.idleSinceMs = state.nowMs
  state.programs.idle.add(program)
}
