// Owns what follows when nodes join, renew and are revoked, and how one authority replaces another. Must not write state.
// Secrets are checked, and certificates signed, before this is asked: what is decided here is whether they count.
import { CoxswainError, isNodeName, type JournalRecord, nodeLimits } from '../../protocol/index.ts'
import { type CommandOf, type Decision, refuse } from '../commands.ts'
import type { CoreLimits } from '../limits.ts'
import { loseWorker } from '../membership/decide.ts'
import type { State } from '../state.ts'
import { expiryOf, newestAuthority, rotationOf } from './state.ts'

const done = (records: JournalRecord[]): Decision => ({ records, payloads: [], reply: { kind: 'done' } })

/** The first leader of a cluster of machines brings its authority, its own certificate, and the tokens that were made before it led. */
export function decideFoundNodes({ nodes }: State, command: CommandOf<'foundNodes'>): Decision {
  if (nodes.authorities.size > 0) return done([])
  const { authority, node, tokens } = command
  return done([
    { kind: 'AuthorityAdded', ...authority },
    { kind: 'AuthoritySigns', authority: authority.authority },
    { kind: 'NodeEnrolled', ...node, role: 'candidate', token: '', authority: authority.authority },
    ...tokens.map(token => ({ kind: 'JoinTokenMade' as const, ...token })),
  ])
}

export function decideMakeJoinToken({ nodes, nowMs }: State, command: CommandOf<'makeJoinToken'>): Decision {
  const { token, secretHash, role, uses, expiresInMs } = command
  if (nodes.signs === '') return refuse(noMachines())
  if (uses < 1 || uses > nodeLimits.joinTokenUsesMax || expiresInMs < 1000 || expiresInMs > nodeLimits.joinTokenMsMax)
    return refuse(
      new CoxswainError(
        'INVALID_ARGUMENT',
        `A join token is for 1 to ${nodeLimits.joinTokenUsesMax} machines, and lives from one second to 30 days.`,
      ),
    )
  const open = [...nodes.tokens.values()].filter(one => one.usesLeft > 0 && one.expiresAtMs > nowMs)
  if (open.length >= nodeLimits.joinTokensMax)
    return refuse(new CoxswainError('OVERLOADED', `${open.length} join tokens are open, the limit.`, { retryAfterMs: 60_000 }))
  return done([{ kind: 'JoinTokenMade', token, secretHash, role, uses, expiresAtMs: nowMs + expiresInMs }])
}

/** Why this token does not let this node in, or undefined. Its secret is proven already. */
function joinFlaw(
  { nodes, nowMs }: State,
  asked: Pick<CommandOf<'enrolNode'>, 'token' | 'node' | 'role' | 'key'>,
): CoxswainError | undefined {
  const { token: id, node, role, key } = asked
  const token = nodes.tokens.get(id)
  if (!token) return new CoxswainError('JOIN_TOKEN_UNKNOWN', 'This cluster made no such join token, or forgot it.', { id })
  if (token.role !== role)
    return new CoxswainError('JOIN_ROLE_REFUSED', `This join token is for a ${token.role}, not for a ${role}.`, { id })
  if (token.expiresAtMs <= nowMs)
    return new CoxswainError('JOIN_TOKEN_EXPIRED', `This join token expired ${agoText(nowMs - token.expiresAtMs)} ago.`, { id })
  if (!isNodeName(node))
    return new CoxswainError('INVALID_ARGUMENT', 'A node is named with up to 63 letters, digits and . _ -, a letter or digit first.')
  const known = nodes.byName.get(node)
  const again = known?.token === id && known.key === key && known.role === role
  if (known && !again && expiryOf(known) > nowMs)
    return new CoxswainError('NODE_NAME_TAKEN', `There is a node ${node} with another key.`, { id: node })
  if (again) return undefined
  if (token.usesLeft < 1) return new CoxswainError('JOIN_TOKEN_USED', 'This join token was used for all machines that it is for.', { id })
  if (nodes.byName.size >= nodeLimits.nodesMax)
    return new CoxswainError('OVERLOADED', `The cluster has ${nodes.byName.size} nodes, its limit.`, { retryAfterMs: 60_000 })
  return undefined
}

export function decideEnrolNode(state: State, command: CommandOf<'enrolNode'>): Decision {
  const flaw = joinFlaw(state, command) ?? unsigned(state, command)
  if (flaw) return refuse(flaw)
  const { node, role, address, token, key, serial, expiresAtMs, authority } = command
  return done([{ kind: 'NodeEnrolled', node, role, address, token, key, serial, expiresAtMs, authority }])
}

export function decideRenewCertificate(state: State, command: CommandOf<'renewCertificate'>): Decision {
  const { node: name, key, serial, presented, expiresAtMs, authority } = command
  const node = state.nodes.byName.get(name)
  if (!node?.certificates.has(presented))
    return refuse(new CoxswainError('NODE_REVOKED', `The certificate of ${name} does not count any more.`, { id: name }))
  const flaw = unsigned(state, command)
  if (flaw) return refuse(flaw)
  const live = [...node.certificates.values()].filter(one => one.expiresAtMs > state.nowMs)
  if (live.length >= nodeLimits.certificatesMax)
    return refuse(
      new CoxswainError('OVERLOADED', `Node ${name} has ${live.length} certificates that have not expired, the limit.`, {
        id: name,
        retryAfterMs: 3_600_000,
      }),
    )
  return done([{ kind: 'CertificateRenewed', node: name, key, serial, expiresAtMs, authority }])
}

export function decideHoldCertificate(state: State, command: CommandOf<'holdCertificate'>): Decision {
  const { node: name, serial, authority } = command
  const node = state.nodes.byName.get(name)
  if (!node?.certificates.has(serial) || !state.nodes.authorities.has(authority)) return done([])
  if (node.held === serial && node.believes === authority) return done([])
  return done([{ kind: 'CertificateHeld', node: name, serial, authority }])
}

export function decideRevokeNode(state: State, { node: name }: CommandOf<'revokeNode'>, limits: CoreLimits): Decision {
  const node = state.nodes.byName.get(name)
  if (!node) return refuse(new CoxswainError('NOT_FOUND', `There is no node ${name} with a certificate.`, { id: name }))
  if (name === state.leader && node.role === 'candidate')
    return refuse(new CoxswainError('INVALID_ARGUMENT', `${name} leads: promote another candidate first, then revoke it.`, { id: name }))
  const records: JournalRecord[] = [{ kind: 'NodeRevoked', node: name }]
  const worker = node.role === 'worker' ? state.membership.workers.get(name) : undefined
  if (worker) records.push(...loseWorker(worker, 'it was revoked', state.nowMs, limits))
  if (node.role === 'candidate' && state.leadership.candidates.get(name)?.present)
    records.push({ kind: 'CandidateLeft', candidate: name, failed: false })
  return done(records)
}

/** `replaces`: the next authority, whose key is lost. */
export function decideAddAuthority({ nodes }: State, command: CommandOf<'addAuthority'>): Decision {
  const { replaces, authority, certificate, expiresAtMs } = command
  if (nodes.signs === '') return refuse(noMachines())
  const newest = newestAuthority(nodes)
  const next = newest === nodes.signs ? '' : newest
  if (replaces === '' && nodes.authorities.size > 1)
    return refuse(
      new CoxswainError('INVALID_ARGUMENT', 'One authority is replacing another already: `cox cluster status` shows for whom it waits.'),
    )
  if (replaces !== next || nodes.authorities.has(authority)) return done([])
  return done([
    ...(replaces === '' ? [] : [{ kind: 'AuthorityDropped' as const, authority: replaces }]),
    { kind: 'AuthorityAdded', authority, certificate, expiresAtMs },
  ])
}

/** Goes on with the change of the authority, as far as all nodes have come. `keys`: of which authorities this leader has the key. */
export function decideRotate({ nodes, nowMs }: State, { keys }: CommandOf<'rotate'>): Decision {
  const rotation = rotationOf(nodes, nowMs)
  if (!rotation || rotation.waitsFor.length > 0) return done([])
  const newest = newestAuthority(nodes)
  if (rotation.step === 'believing') return done(keys.includes(newest) ? [{ kind: 'AuthoritySigns', authority: newest }] : [])
  const old = [...nodes.authorities.keys()].filter(one => one !== newest)
  return done(old.map(authority => ({ kind: 'AuthorityDropped', authority })))
}

/** The certificate was signed by an authority that does not sign any more: it is to be asked for again. */
function unsigned({ nodes }: State, { authority }: { authority: string }): CoxswainError | undefined {
  if (nodes.signs === '') return noMachines()
  return authority === nodes.signs
    ? undefined
    : new CoxswainError('UNAVAILABLE', 'Another authority signs by now: ask again.', { retryAfterMs: 100 })
}

function noMachines(): CoxswainError {
  return new CoxswainError('NOT_ENROLLED', 'This is a cluster of one machine: it has no authority for certificates.')
}

function agoText(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  return minutes < 1 ? `${Math.ceil(ms / 1000)} s` : minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`
}
