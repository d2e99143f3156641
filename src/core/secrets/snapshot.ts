// Owns the bytes of secrets in a snapshot. Must not open them.
import { bytes, type Infer, limits, list, nameField, string, struct, varint } from '../../protocol/index.ts'
import type { State } from '../state.ts'

export const secretsState = list(
  struct({
    name: nameField,
    sealed: bytes(limits.secretBytesMax * 2),
    jobs: list(string(limits.nameBytesMax), limits.secretJobsMax),
    setAtMs: varint,
    version: varint,
  }),
  2 ** 31,
)

export function secretsValue({ secrets }: State): Infer<typeof secretsState> {
  return [...secrets.byName.values()].map(one => ({ ...one, jobs: [...one.jobs] }))
}

export function restoreSecrets({ secrets }: State, values: Infer<typeof secretsState>): void {
  for (const value of values) secrets.byName.set(value.name, value)
}
