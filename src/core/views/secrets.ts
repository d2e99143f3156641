// Owns the answer to what secrets there are. Must not tell what is in one.
import type { SecretView } from '../../protocol/index.ts'
import type { State } from '../state.ts'

/** All secrets, in the order of their names. */
export function viewSecrets(state: State): SecretView[] {
  return [...state.secrets.byName.values()]
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, jobs, setAtMs, version }) => ({ name, jobs: [...jobs], setAtMs, version }))
}
