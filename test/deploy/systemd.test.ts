// Owns the tests of deploy/systemd: what systemd itself says of the units, and that they agree with our command line and with each other.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileValues } from '../../src/cli/config/effective.ts'
import { loadConfigFile } from '../../src/cli/config/file.ts'
import { exitCodes } from '../../src/cli/exit.ts'
import { documentedPorts, nodeOf, root, settingsFor, textOf } from './files.ts'

const exposureTenthsMax = 20
const spans: Record<string, number> = { s: 1000, min: 60_000, '': 1000 }

/** All values of each key of a unit, whatever its section. */
function unit(name: string): Map<string, string[]> {
  const values = new Map<string, string[]>()
  for (const line of textOf(`deploy/systemd/${name}`).split('\n')) {
    const match = /^([A-Z]\w*)=(.*)$/.exec(line)
    if (match) values.set(match[1]!, [...(values.get(match[1]!) ?? []), match[2]!])
    else assert.match(line, /^(#.*|\[(Unit|Service|Install)\])?$/, name)
  }
  return values
}

/** The unit in a folder of its own, its program being one that is here. */
function staged(t: TestContext, name: string, change: (text: string) => string = text => text): string {
  const folder = mkdtempSync(join(tmpdir(), 'cox-test-units-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, name)
  writeFileSync(path, change(textOf(`deploy/systemd/${name}`).replace('/usr/bin/cox ', '/bin/sh ')))
  return path
}

const analyze = (...args: string[]): { status: number | null; said: string } => {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
  return { status, said: stdout + stderr }
}

const whyNot = spawnSync('systemd-analyze', ['--version']).error ? 'systemd-analyze is not installed: units are not checked by systemd' : ''

for (const [kind, name, config] of [
  ['candidate', 'cox-candidate.service', 'coxswain.config.json'],
  ['worker', 'cox-worker.service', 'worker.config.json'],
] as const) {
  const values = unit(name)
  const one = (key: string): string => {
    const found = values.get(key) ?? []
    assert.equal(found.length, 1, `${name}: ${key}`)
    return found[0]!
  }
  const environment = Object.fromEntries((values.get('Environment') ?? []).map(text => text.split(/=(.*)/s, 2) as [string, string]))
  const files = { [`/etc/coxswain/${config}`]: `deploy/systemd/${config}` }
  const [program, ...args] = one('ExecStart').split(' ')

  describe(`the unit ${name}`, () => {
    it('is understood by systemd, which finds nothing in it to warn of', t => {
      if (whyNot) return t.skip(whyNot)
      assert.deepEqual(analyze('verify', '--man=no', staged(t, name)), { status: 0, said: '' })
      const broken = staged(t, name, text => text.replace('LimitNOFILE', 'LimitNOFILES'))
      assert.match(analyze('verify', '--man=no', broken).said, /LimitNOFILES/)
    })

    it('is closed in the eyes of `systemd-analyze security`', t => {
      if (whyNot) return t.skip(whyNot)
      const secured = (path: string) => analyze('security', '--offline=yes', '--no-pager', `--threshold=${exposureTenthsMax}`, path)
      const { status, said } = secured(staged(t, name))
      assert.equal(status, 0, said)
      assert.notEqual(secured(staged(t, name, text => text.replace(/^(Protect|Private|Restrict|System|Cap)\w+=.*$/gm, ''))).status, 0)
    })

    it('starts a node of its kind by settings that our command line takes', async () => {
      assert.equal(program, '/usr/bin/cox')
      const settings = await settingsFor(args, environment, files)
      assert.deepEqual(nodeOf(settings), { kind, port: documentedPorts()[kind] })
      assert.equal(environment['COX_HOME'], `%S/${one('StateDirectory')}`)
      assert.equal(one('WorkingDirectory'), environment['COX_HOME'])
      // Longer than the node takes to end by itself, or it is killed in the middle of that.
      const [, amount, span] = /^(\d+)(s|min|)$/.exec(one('TimeoutStopSec'))!
      assert.ok(Number(amount) * spans[span!]! > settings.drain)
    })

    it('has a config file of its own that is well', async () => {
      const file = await loadConfigFile(join(root, 'deploy/systemd', config))
      assert.ok(Object.keys(fileValues(file)).length > 0)
      assert.match(environment['COX_CONFIG']!, new RegExp(`/${config}$`))
    })

    it('gets each secret as a credential, and names no other file for one', () => {
      const loaded = (values.get('LoadCredential') ?? []).map(text => text.split(':')[0]!)
      const named = Object.values(environment).flatMap(text => (text.startsWith('%d/') ? [text.slice(3)] : []))
      assert.deepEqual(named.sort(), loaded.sort())
      for (const [variable, text] of Object.entries(environment))
        if (/(KEY|TOKEN|PASSWORD)/.test(variable)) assert.ok(variable.endsWith('_FILE') && text.startsWith('%d/'), variable)
      for (const text of values.get('SetCredential') ?? []) assert.ok(loaded.includes(text.split(':')[0]!), text)
    })

    it('is started again, but not for settings that cannot be, and stopped in order', () => {
      assert.equal(one('Restart'), 'always')
      assert.equal(one('RestartPreventExitStatus'), String(exitCodes.usage))
      assert.equal(one('KillMode'), 'mixed')
      assert.equal(one('StartLimitIntervalSec'), '0')
      assert.ok(Number(one('LimitNOFILE')) >= 65_536)
    })

    it('may write nothing but its state, gains no rights, and leaves V8 its compiled code', () => {
      for (const [key, value] of Object.entries({
        NoNewPrivileges: 'yes',
        ProtectSystem: 'strict',
        ProtectHome: 'yes',
        CapabilityBoundingSet: '',
        UMask: '0077',
      }))
        assert.equal(one(key), value, key)
      for (const key of ['MemoryDenyWriteExecute', 'ReadWritePaths', 'PermissionsStartOnly']) assert.ok(!values.has(key), key)
      const users = textOf('deploy/systemd/coxswain.sysusers.conf')
      assert.match(users, new RegExp(`^u ${one('User')}\\s+- .* /var/lib/${one('StateDirectory')}$`, 'm'))
    })
  })
}

describe('the two units', () => {
  it('run as different users with different state, so that tasks read nothing of a candidate', () => {
    const [candidate, worker] = [unit('cox-candidate.service'), unit('cox-worker.service')]
    for (const key of ['User', 'Group', 'StateDirectory']) assert.notDeepEqual(candidate.get(key), worker.get(key), key)
  })
})
