// Owns what the facts about users and tokens do to the state. Must not choose anything.
import type { RecordOf } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import type { User } from './state.ts'

function userOf({ access }: State, name: string): User {
  const user = access.users.get(name)
  if (!user) throw new Error(`no user ${name}`)
  return user
}

function dropToken({ access }: State, id: string): void {
  const token = access.tokens.get(id)
  if (!token) throw new Error(`no token ${id}`)
  access.tokens.delete(id)
  access.users.get(token.user)!.tokens.delete(id)
}

export function applyUserSet(state: State, { user: name, role, scope }: RecordOf<'UserSet'>): void {
  const tokens = state.access.users.get(name)?.tokens ?? new Set<string>()
  state.access.users.set(name, { name, role, scope, setAtMs: state.nowMs, tokens })
}

export function applyUserDeleted(state: State, { user: name }: RecordOf<'UserDeleted'>): void {
  for (const id of userOf(state, name).tokens) state.access.tokens.delete(id)
  state.access.users.delete(name)
}

export function applyTokenIssued(state: State, { token: id, user, digest, expiresAtMs }: RecordOf<'TokenIssued'>): void {
  const { tokens } = userOf(state, user)
  if (state.access.tokens.has(id)) dropToken(state, id)
  tokens.add(id)
  state.access.tokens.set(id, { id, user, digest, createdAtMs: state.nowMs, expiresAtMs })
}

export function applyTokenRevoked(state: State, { token }: RecordOf<'TokenRevoked'>): void {
  dropToken(state, token)
}

export function applyTokensForgotten(state: State, { tokens }: RecordOf<'TokensForgotten'>): void {
  for (const id of tokens) dropToken(state, id)
}
