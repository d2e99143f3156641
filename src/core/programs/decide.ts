// Owns what follows when a program is sent. Must not write state.
import { answer, type CommandOf, type Decision } from '../commands.ts'
import type { State } from '../state.ts'

export function decidePutProgram(state: State, command: CommandOf<'putProgram'>): Decision {
  if (state.programs.byId.has(command.program)) return answer({ kind: 'done' })
  const payload = state.nextPayload
  return {
    records: [{ kind: 'ProgramAdded', program: command.program, payload, bytes: command.bytes.length }],
    payloads: [{ payload, bytes: command.bytes }],
    reply: { kind: 'done' },
  }
}
