// Owns whether somebody may come as what it says it is, and say what it says. Must not know how that was proved.
import { CoxswainError, type Hello, type NodeRole, type Principal } from '../protocol/index.ts'

/** Why whoever proved to be this one may not come as what it says, or undefined. */
export function mismatchOf(principal: Principal, { role, name }: Hello): string | undefined {
  if (principal.kind === 'user') return role === 'client' ? undefined : `The credential is one of a user, not of a ${role}.`
  if (role === 'client' || !principal.roles.includes(role))
    return `The credential is one of a ${principal.roles.join(' or ')}, not of a ${role}.`
  return principal.name === '' || principal.name === name ? undefined : `The credential is one of ${principal.name}, not of ${name}.`
}

/** Throws FORBIDDEN unless the node is what the message needs. */
export function mustBe(principal: Principal, needed: NodeRole): void {
  if (principal.kind !== 'node' || !principal.roles.includes(needed))
    throw new CoxswainError('FORBIDDEN', `This needs a ${needed}, and ${principal.name} is none.`)
}
