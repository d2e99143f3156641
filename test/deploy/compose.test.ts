// Owns the tests of deploy/compose.yaml: its form, that everything it names is there, and that its commands start the nodes they say.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cox, temporaryHome } from '../cli/cox.ts'
import { documentedPorts, nodeOf, settingsFor, textOf, yamlDocuments } from './files.ts'

type Names = string[] | Record<string, unknown>

interface Service {
  image: string
  hostname: string
  command: string[]
  environment?: Record<string, string>
  networks: Names
  volumes: string[]
  secrets?: string[]
  ports?: string[]
  depends_on?: Record<string, { condition: string }>
  healthcheck: { test: string[]; interval: string; timeout: string; retries: number; start_period?: string }
  stop_grace_period: string
  [key: string]: unknown
}

interface Compose {
  name: string
  services: Record<string, Service>
  networks: Record<string, { internal?: boolean }>
  volumes: Record<string, unknown>
  secrets: Record<string, { file: string }>
  [key: string]: unknown
}

/** The keys of the Compose specification that we use, with the form of each. */
const serviceForm: Record<string, (value: unknown) => boolean> = {
  image: value => typeof value === 'string' && /^[\w./-]+:v?\d+\.\d+\.\d+$/.test(value),
  build: value => isTexts(Object.values(value as object)),
  restart: value => value === 'unless-stopped',
  hostname: value => typeof value === 'string',
  command: isTexts,
  environment: value => isTexts(Object.values(value as object)),
  networks: isTexts,
  volumes: isTexts,
  secrets: isTexts,
  ports: isTexts,
  tmpfs: isTexts,
  cap_drop: isTexts,
  security_opt: isTexts,
  init: value => typeof value === 'boolean',
  read_only: value => typeof value === 'boolean',
  ulimits: value => Object.values(value as object).every(Number.isInteger),
  stop_grace_period: isDuration,
  mem_limit: value => typeof value === 'string' && /^\d+[kmg]$/.test(value),
  depends_on: value => Object.values(value as object).every(one => (one as { condition: string }).condition === 'service_healthy'),
  healthcheck(value) {
    const { test, interval, timeout, retries, start_period = '0s', ...rest } = value as Service['healthcheck']
    return (
      isTexts(test) &&
      test[0] === 'CMD' &&
      [interval, timeout, start_period].every(isDuration) &&
      Number.isInteger(retries) &&
      Object.keys(rest).length === 0
    )
  },
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(one => typeof one === 'string')
}

function isDuration(value: unknown): boolean {
  return typeof value === 'string' && /^\d+s$/.test(value)
}

/** What is not of the form that Compose takes. */
function misfits(compose: Compose): string[] {
  const found = Object.keys(compose).filter(
    key => !['name', 'services', 'networks', 'volumes', 'secrets'].includes(key) && !key.startsWith('x-'),
  )
  for (const [name, service] of Object.entries(compose.services))
    for (const [key, value] of Object.entries(service)) if (!serviceForm[key]?.(value)) found.push(`${name}.${key}`)
  return found
}

const load = (): Compose => yamlDocuments('deploy/compose.yaml')[0] as Compose
const compose = load()
const { services } = compose
const ofKind = (kind: string): [string, Service][] => Object.entries(services).filter(([name]) => name.startsWith(`${kind}-`))

describe('the Compose file', () => {
  it('has the form of the Compose specification', () => {
    assert.deepEqual(misfits(compose), [])
    const broken = load()
    Object.assign(broken, { service: {} })
    Object.assign(broken.services['etcd-1']!, { hostnam: 'x', command: 3 })
    assert.deepEqual(misfits(broken), ['service', 'etcd-1.command', 'etcd-1.hostnam'])
  })

  it('is 3 etcd, 3 candidates and 2 workers', () => {
    assert.deepEqual(
      ['etcd', 'candidate', 'worker'].map(kind => ofKind(kind).length),
      [3, 3, 2],
    )
    assert.equal(Object.keys(services).length, 8)
  })

  it('declares every network, volume, secret and service that it uses, and no other', () => {
    const all = Object.values(services)
    const used = (names: string[]): string[] => [...new Set(names)].sort()
    assert.deepEqual(used(all.flatMap(({ networks }) => networks as string[])), Object.keys(compose.networks).sort())
    assert.deepEqual(used(all.flatMap(({ volumes }) => volumes.map(text => text.split(':')[0]!))), Object.keys(compose.volumes).sort())
    assert.deepEqual(used(all.flatMap(({ secrets }) => secrets ?? [])), Object.keys(compose.secrets).sort())
    for (const { depends_on } of all) for (const name of Object.keys(depends_on ?? {})) assert.ok(services[name], name)
    for (const [name, { hostname, volumes }] of Object.entries(services))
      assert.deepEqual([hostname, volumes[0]?.split(':')[0]], [name, name])
    for (const { file } of Object.values(compose.secrets))
      assert.match(textOf('.gitignore'), new RegExp(`^deploy/${file.split('/')[1]}/$`, 'm'))
  })

  it('starts nodes by commands that our command line takes, each of its kind and reached by its name', async () => {
    const ports = documentedPorts()
    for (const kind of ['candidate', 'worker'] as const)
      for (const [name, { command, environment, healthcheck, secrets, stop_grace_period: grace }] of ofKind(kind)) {
        const settings = await settingsFor(command, environment ?? {})
        assert.deepEqual(nodeOf(settings), { kind, port: ports[kind] }, name)
        assert.equal(settings.advertise, `${name}:${ports[kind]}`)
        assert.deepEqual(healthcheck.test, ['CMD', 'node', '/opt/coxswain/health.mjs', String(ports[kind])])
        assert.ok(Number.parseInt(grace, 10) * 1000 > settings.drain, name)
        assert.equal(settings.joinTokenFile, `/run/secrets/${kind}-token`)
        assert.deepEqual(secrets, [`${kind}-token`])
        const stores = ofKind('etcd').map(([etcd]) => `${etcd}:${ports['etcd']}`)
        assert.equal(settings.journal, kind === 'candidate' ? `etcd://${stores.join(',')}/coxswain` : 'sqlite')
      }
  })

  it('has commands that a real `cox` process takes, with the environment of their service', async t => {
    const place = temporaryHome('compose')
    t.after(() => place.cleanUp())
    for (const name of ['candidate-1', 'worker-1']) {
      const { command, environment } = services[name]!
      const { code, stdout } = await cox(['config', ...command.slice(1), '--json'], { home: place.home, env: environment ?? {} })
      assert.equal(code, 0, stdout)
      const { settings } = JSON.parse(stdout) as { settings: Record<string, { from: string; value: unknown }> }
      assert.deepEqual([settings['listen']?.from, settings['joinTokenFile']?.from], ['flag', 'environment'])
      assert.equal(settings['advertise']?.value, `${name}:${documentedPorts()[name.split('-')[0]!]}`)
    }
  })

  it('keeps etcd to the candidates, and opens no port beyond this machine', () => {
    assert.equal(compose.networks['store']?.internal, true)
    for (const [name, { networks, ports = [] }] of Object.entries(services)) {
      assert.equal((networks as string[]).includes('store'), !name.startsWith('worker-'), name)
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, name)
    }
  })

  it('tells all members of etcd the same, with a release that does not lose data', () => {
    const flags = ofKind('etcd').map(([name, { command, image }]) => {
      const [, major, minor, patch] = /:v(\d+)\.(\d+)\.(\d+)$/.exec(image)!.map(Number)
      assert.ok(major === 3 && (minor! > 6 || (minor === 6 && patch! >= 9) || (minor === 5 && patch! >= 28)), image)
      const given = Object.fromEntries(command.slice(1).map(text => text.replace(/^--/, '').split(/=(.*)/s, 2) as [string, string]))
      assert.equal(given['name'], name)
      assert.equal(given['advertise-client-urls'], `http://${name}:2379`)
      assert.ok(given['initial-cluster']?.split(',').includes(`${name}=${given['initial-advertise-peer-urls']}`))
      return given
    })
    for (const key of ['initial-cluster', 'initial-cluster-token', 'quota-backend-bytes'])
      assert.equal(new Set(flags.map(given => given[key])).size, 1, key)
    assert.equal(flags[0]!['initial-cluster']?.split(',').length, 3)
  })

  it('runs our nodes without rights, with a file system that cannot be written, and the image of this release', () => {
    const { version } = JSON.parse(textOf('package.json')) as { version: string }
    for (const [name, service] of [...ofKind('candidate'), ...ofKind('worker')]) {
      assert.equal(service.image, `coxswain:${version}`, name)
      assert.deepEqual([service['read_only'], service['cap_drop'], service['init']], [true, ['ALL'], true], name)
      assert.deepEqual(service['security_opt'], ['no-new-privileges:true'], name)
    }
  })
})
