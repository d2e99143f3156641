// Owns the part of a snapshot that stands behind the rest since version 4.
// Must not know bytes: each room says how its own state is written.
import { type Infer, struct, type Writer } from '../protocol/index.ts'
import { accessState, accessValue, restoreAccess } from './access/snapshot.ts'
import { nodesState, nodesValue, restoreNodes } from './nodes/snapshot.ts'
import { restoreSecrets, secretsState, secretsValue } from './secrets/snapshot.ts'
import type { State } from './state.ts'

/** Secrets, users, and nodes of several machines. */
export const fourthState = struct({ secrets: secretsState, access: accessState, nodes: nodesState })

/** Writes it behind the rest. */
export function writeFourth(writer: Writer, state: State): void {
  fourthState.write(writer, { secrets: secretsValue(state), access: accessValue(state), nodes: nodesValue(state) })
}

/** All that came before is there already. */
export function restoreFourth(state: State, value: Infer<typeof fourthState>): void {
  restoreSecrets(state, value.secrets)
  restoreAccess(state, value.access)
  restoreNodes(state, value.nodes)
}
