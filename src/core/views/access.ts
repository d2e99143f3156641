// Owns the answer to which users there are. Must not tell the digest of a token.
import type { UserView } from '../../protocol/index.ts'
import type { State } from '../state.ts'

/** All users with their tokens, in the order of their names; `nowMs`: cluster time. */
export function viewUsers({ access }: State, nowMs: number): UserView[] {
  return [...access.users.values()]
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, role, scope, setAtMs, tokens }) => ({
      name,
      role,
      jobPrefixes: [...scope.jobPrefixes],
      labels: [...scope.labels],
      setAtMs,
      tokens: [...tokens].map(id => {
        const { createdAtMs, expiresAtMs } = access.tokens.get(id)!
        return { id, createdAtMs, expiresAtMs, expired: expiresAtMs <= nowMs }
      }),
    }))
}
