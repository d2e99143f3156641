// Owns what the facts about secrets do to the state. Must not choose anything.
import type { RecordOf } from '../../protocol/index.ts'
import type { State } from '../state.ts'

export function applySecretSet(state: State, { secret, sealed, jobs }: RecordOf<'SecretSet'>): void {
  const { byName } = state.secrets
  const version = (byName.get(secret)?.version ?? 0) + 1
  byName.set(secret, { name: secret, sealed, jobs, setAtMs: state.nowMs, version })
}

export function applySecretDeleted(state: State, { secret }: RecordOf<'SecretDeleted'>): void {
  state.secrets.byName.delete(secret)
}
