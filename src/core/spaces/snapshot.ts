// Owns the bytes of spaces in a snapshot. Must not hold derived things.
import { type Infer, list, spaceKey, string, struct, varint } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import { putEntry } from './apply.ts'

const countMax = 2 ** 31
const name = string(4096)

export const spacesState = struct({
  spaces: list(
    struct({ name, entries: list(struct({ key: spaceKey, payload: varint, bytes: varint, version: varint }), countMax) }),
    countMax,
  ),
  lastVersion: varint,
  sessions: list(struct({ session: name, before: varint, done: list(struct({ number: varint, version: varint }), countMax) }), countMax),
})

export function spacesValue({ spaces }: State): Infer<typeof spacesState> {
  return {
    spaces: [...spaces.byName].map(([one, space]) => ({ name: one, entries: [...space].map(([key, entry]) => ({ key, ...entry })) })),
    lastVersion: spaces.lastVersion,
    sessions: [...spaces.bySession].map(([session, { before, done }]) => ({
      session,
      before,
      done: [...done].map(([number, version]) => ({ number, version })),
    })),
  }
}

export function restoreSpaces(state: State, value: Infer<typeof spacesState>): void {
  const { spaces } = state
  for (const { name: space, entries } of value.spaces)
    for (const { key, payload, bytes, version } of entries) putEntry(state, space, key, { payload, bytes, version })
  spaces.lastVersion = value.lastVersion
  for (const { session, before, done } of value.sessions)
    spaces.bySession.set(session, { before, done: new Map(done.map(({ number, version }) => [number, version])) })
}
