// Walks the whole table of what each message, question and route needs, with every kind of credential: it is generated from the table, so that nothing
// that there is can be left out.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  candidatePolicy,
  clientPolicy,
  includes,
  type Rule,
  routePolicy,
  viewPolicy,
  workerPolicy,
} from '../../src/leader/access/policy.ts'
import { answerRoute, mayAsk } from '../../src/leader/access/routes.ts'
import {
  type AuditEntry,
  type ClientToLeader,
  type Codec,
  candidateToLeader,
  clientToLeader,
  decodeMessage,
  encodeMessage,
  everything,
  hello,
  type Principal,
  protocolVersion,
  type UserRole,
  userRoles,
  type ViewName,
  type Welcome,
  welcome,
  workerToLeader,
} from '../../src/protocol/index.ts'
import { MemoryFiles } from '../fakes/files.ts'
import { ScriptedClient } from '../fakes/peers.ts'
import { samplesOf } from '../protocol/samples.ts'
import { House } from './house.ts'

const minuteMs = 60_000
const nodes: Record<string, Principal> = {
  'node-worker': { kind: 'node', name: 'w9', roles: ['worker'], credential: 'serial-1' },
  'node-candidate': { kind: 'node', name: 'c9', roles: ['candidate'], credential: 'serial-2' },
}

/** One message of each kind, made from the declaration, and one question of each view. */
function calls(): { name: string; message: ClientToLeader; rule: Rule }[] {
  const messages = samplesOf('clientToLeader', clientToLeader).map(([, sample]) => sample as ClientToLeader)
  return messages.flatMap((message): { name: string; message: ClientToLeader; rule: Rule }[] => {
    if (message.kind !== 'ask') return [{ name: message.kind, message, rule: clientPolicy[message.kind] }]
    return (Object.keys(viewPolicy) as ViewName[]).map(view => ({
      name: `ask ${view}`,
      message: { ...message, view, argument: '{}' },
      rule: viewPolicy[view],
    }))
  })
}

interface Credential {
  name: string
  token: string
  /** Of a user whose token is good. */
  role: UserRole | undefined
  /** What the line of a denied call names. */
  credential: string
}

interface Place {
  house: House
  admin: ScriptedClient
  credentials: Credential[]
}

async function issue(admin: ScriptedClient, user: string, id: string, ttlMs: number): Promise<string> {
  const answer = await admin.ask({ kind: 'issueToken', user, token: id, ttlMs })
  assert.equal(answer?.kind, 'tokenIssued', JSON.stringify(answer))
  return answer?.kind === 'tokenIssued' ? answer.token : ''
}

async function place(): Promise<Place> {
  const house = await House.open({ files: new MemoryFiles(), audit: { folder: '/audit' }, others: nodes })
  const admin = await house.client()
  const credentials: Credential[] = [
    { name: 'none', token: '', role: undefined, credential: '' },
    { name: 'bad', token: `cox_badbadbad_${'x'.repeat(43)}`, role: undefined, credential: '' },
  ]
  for (const role of userRoles) {
    await admin.ask({ kind: 'setUser', user: `the-${role}`, role, scope: { jobPrefixes: [], labels: [] }, replace: false })
    const id = `token0${role}`
    credentials.push({ name: role, token: await issue(admin, `the-${role}`, id, 60 * minuteMs), role, credential: id })
  }
  credentials.push({ name: 'expired', token: await issue(admin, 'the-admin', 'tokenexpired', minuteMs), role: undefined, credential: '' })
  credentials.push({
    name: 'revoked',
    token: await issue(admin, 'the-admin', 'tokenrevoked', 60 * minuteMs),
    role: undefined,
    credential: '',
  })
  assert.equal((await admin.ask({ kind: 'revokeToken', token: 'tokenrevoked' }))?.kind, 'done')
  for (const [token, { credential }] of Object.entries(nodes)) credentials.push({ name: token, token, role: undefined, credential })
  await house.world.advance(2 * minuteMs)
  return { house, admin, credentials }
}

/** Sends one message on a connection of its own. `undefined`: it was not even let in. */
async function call({ house }: Place, token: string, message: ClientToLeader): Promise<string | undefined> {
  const client = new ScriptedClient(house.world, 'matrix')
  await client.connect(house.address, {}, token)
  if (client.refused === 401) return 'HTTP 401'
  if (client.welcomed?.kind === 'refused') return client.welcomed.code
  await client.say(message)
  const answer = client.heard.find(one => 'request' in one && 'request' in message && one.request === message.request)
  const code = answer?.kind === 'failed' ? answer.error.code : answer?.kind
  await client.hangUp()
  return code
}

interface Visit {
  welcomed: Welcome | undefined
  closed: string | undefined
  refused: number | undefined
}

/** Says hello as a node of this kind, and one message. */
async function visitAs({ house }: Place, as: 'worker' | 'candidate', token: string, message: { kind: string }): Promise<Visit> {
  const visit: Visit = { welcomed: undefined, closed: undefined, refused: undefined }
  const who = { name: as === 'worker' ? 'w9' : 'c9', session: 'boot', cluster: '', epochSeen: 0, release: '0', protocol: protocolVersion }
  const codec = (as === 'worker' ? workerToLeader : candidateToLeader) as Codec<unknown>
  const connection = house.world.transport.connect(house.address, token, 0, {
    opened: () => connection.send(encodeMessage(hello, { ...who, role: as })),
    frame: bytes => {
      if (visit.welcomed) return
      visit.welcomed = decodeMessage(welcome, bytes)
      connection.send(encodeMessage(codec, message))
    },
    closed: (reason, refused) => {
      visit.closed ??= reason
      visit.refused ??= refused
    },
  })
  await house.world.calm()
  connection.close('it was a visit')
  await house.world.calm()
  return visit
}

async function deniedLines({ admin }: Place): Promise<AuditEntry[]> {
  return admin.view('audit', { denied: true, limit: 10_000 })
}

describe('the table of what is needed', () => {
  it('says the same to a token of every kind as the leader does, for every message and question of a client', async () => {
    const here = await place()
    let pairs = 0
    for (const { name: who, token, role, credential } of here.credentials) {
      const expectDenied: string[] = []
      const walk = calls()
      for (const { name, message, rule } of walk) {
        pairs++
        const { index } = here.house.state
        const code = await call(here, token, message)
        if (role !== undefined && includes(role, rule.role)) {
          assert.notEqual(code, 'FORBIDDEN', `${who} may ${name}`)
          assert.notEqual(code, 'HTTP 401', `${who} may ${name}`)
          continue
        }
        assert.equal(here.house.state.index, index, `${who}: ${name} left something in the journal`)
        const isAnswered = 'request' in message && message.kind !== 'unfollow'
        const expected = role !== undefined ? (isAnswered ? 'FORBIDDEN' : undefined) : credential === '' ? 'HTTP 401' : 'FORBIDDEN'
        assert.equal(code, expected, `${who} may not ${name}`)
        expectDenied.push(role !== undefined ? name : credential === '' ? 'connect' : 'connect as client')
      }
      const lines = await deniedLines(here)
      const sum = (what: string): number =>
        lines.filter(line => line.what === what && line.credential === credential).reduce((count, line) => count + line.count, 0)
      for (const what of new Set(expectDenied))
        assert(
          sum(what) >= expectDenied.filter(one => one === what).length,
          `${who}: no line of the audit log says that ${what} was denied`,
        )
    }
    assert.equal(pairs, here.credentials.length * (Object.keys(clientPolicy).length - 1 + Object.keys(viewPolicy).length))
    assert.equal(here.credentials.length, 10)
  })

  it('lets nobody but nodes of the right kind speak as a worker or a standby', async () => {
    const here = await place()
    const tables = [
      { as: 'worker', policy: workerPolicy, samples: samplesOf('workerToLeader', workerToLeader) },
      { as: 'candidate', policy: candidatePolicy, samples: samplesOf('candidateToLeader', candidateToLeader) },
    ] as const
    for (const { as, policy, samples } of tables) {
      assert.deepEqual(samples.map(([, sample]) => (sample as { kind: string }).kind).sort(), Object.keys(policy).sort())
      for (const { name, token, credential } of here.credentials) {
        const may = name === `node-${as}`
        for (const [, sample] of samples) {
          const visit = await visitAs(here, as, token, sample as { kind: string })
          if (may) {
            assert.equal(visit.welcomed?.kind, 'welcome', `${name} as ${as}`)
            assert.doesNotMatch(visit.closed ?? '', /FORBIDDEN/)
          } else if (credential === '') assert.equal(visit.refused, 401, `${name} as ${as}`)
          else assert.equal(visit.welcomed?.kind === 'refused' && visit.welcomed.code, 'FORBIDDEN', `${name} as ${as}`)
        }
      }
    }
    const lines = await deniedLines(here)
    for (const as of ['worker', 'candidate']) assert(lines.some(line => line.what === `connect as ${as}` && line.who === 'the-admin'))
  })

  it('answers no route to somebody who is nobody, but those that say so', async () => {
    const user = (role: UserRole): Principal => ({ kind: 'user', name: role, role, scope: everything, credential: 't' })
    const all: (Principal | undefined)[] = [undefined, ...userRoles.map(user), ...Object.values(nodes)]
    for (const [route, rule] of Object.entries(routePolicy)) {
      const [method = '', path = ''] = route.split(' ')
      for (const principal of all) {
        let denied = 0
        const request = { method, path, body: Buffer.alloc(0), remote: 'here' }
        const handler = async () => ({ status: 200, type: 'text/plain', body: 'yes' })
        const answer = await answerRoute({ [route]: handler }, request, principal, () => denied++)
        assert.equal(answer?.status === 200, mayAsk(rule, principal), route)
        assert.equal(denied, mayAsk(rule, principal) ? 0 : 1, route)
      }
    }
    const unknown = { method: 'GET', path: '/v1/secrets', body: Buffer.alloc(0), remote: 'here' }
    assert.equal(await answerRoute({}, unknown, user('admin'), () => {}), undefined)
    const rules = ['worker', 'candidate', ...userRoles] as const
    for (const rule of rules) {
      assert.equal(mayAsk(rule, undefined), false)
      for (const role of userRoles)
        assert.equal(mayAsk(rule, user(role)), rule !== 'worker' && rule !== 'candidate' && includes(role, rule), `${role} at ${rule}`)
      for (const principal of Object.values(nodes))
        assert.equal(mayAsk(rule, principal), principal.kind === 'node' && principal.roles.some(one => one === rule))
    }
  })

  it('allows a role all that one below it may do', () => {
    const rules = [...Object.values(clientPolicy), ...Object.values(viewPolicy)]
    for (const [at, lower] of userRoles.entries())
      for (const higher of userRoles.slice(at)) for (const { role } of rules) if (includes(lower, role)) assert(includes(higher, role))
    assert(rules.some(({ role }) => !includes('viewer', role)) && rules.some(({ role }) => !includes('operator', role)))
    for (const rule of rules) if (rule.changes) assert.notEqual(rule.role, 'viewer', 'a viewer only looks')
  })
})
