// Owns the bytes of users and tokens in a snapshot. Must not hold derived things.
import { hashField, type Infer, list, scopeField, struct, tokenIdField, userField, userRoleField, varint } from '../../protocol/index.ts'
import type { State } from '../state.ts'

const countMax = 2 ** 31
const tokenState = struct({ id: tokenIdField, digest: hashField, createdAtMs: varint, expiresAtMs: varint })

export const accessState = list(
  struct({ name: userField, role: userRoleField, scope: scopeField, setAtMs: varint, tokens: list(tokenState, countMax) }),
  countMax,
)

export function accessValue({ access }: State): Infer<typeof accessState> {
  return [...access.users.values()].map(({ name, role, scope, setAtMs, tokens }) => ({
    name,
    role,
    scope: { jobPrefixes: [...scope.jobPrefixes], labels: [...scope.labels] },
    setAtMs,
    tokens: [...tokens].map(id => access.tokens.get(id)!),
  }))
}

export function restoreAccess({ access }: State, values: Infer<typeof accessState>): void {
  for (const { tokens, ...user } of values) {
    access.users.set(user.name, { ...user, tokens: new Set(tokens.map(({ id }) => id)) })
    for (const token of tokens) access.tokens.set(token.id, { ...token, user: user.name })
  }
}
