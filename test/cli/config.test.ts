// Owns the tests of settings: that a flag, a variable and a file say the same thing in the same words, and which of them holds.
// Must not start processes: config-files.test.ts does.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { Command } from 'commander'
import fc from 'fast-check'
import { configurationPage } from '../../scripts/configuration.ts'
import { type Effective, effectiveSettings, fileValues, otherVariables } from '../../src/cli/config/effective.ts'
import { settingsOf, withSettings } from '../../src/cli/config/options.ts'
import { flagOf, type Setting, type SettingName, settingList, settings, variableOf } from '../../src/cli/config/schema.ts'
import { CoxswainError, defineConfig } from '../../src/client/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'cox-test-config-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const word = fc.stringMatching(/^[a-z][a-z0-9._-]{0,11}$/)
const port = fc.integer({ min: 1, max: 65_535 })
const host = fc.oneof(word, fc.ipV4(), fc.constantFrom('[::1]', '[fd00::7]'))
const address = fc.tuple(host, port).map(([name, number]) => `${name}:${number}`)
const millis = fc.integer({ min: 0, max: 1e12 })
const file = fc.array(word, { minLength: 1, maxLength: 4 }).map(parts => `/${parts.join('/')}`)

/** Values that each setting can have, as parsed. */
const valuesOf: { [Name in SettingName]: fc.Arbitrary<unknown> } = {
  workers: fc.integer({ min: 0, max: 256 }),
  executors: fc.integer({ min: 1, max: 1024 }),
  cpus: millis,
  memory: fc.oneof(
    fc.maxSafeNat(),
    fc.integer({ min: 1, max: 4096 }).map(gigabytes => gigabytes * 2 ** 30),
  ),
  gpus: millis,
  resources: fc.array(fc.record({ name: word, millis }, { noNullPrototype: true }), { minLength: 1, maxLength: 4 }),
  labels: fc.array(word, { minLength: 1, maxLength: 5 }),
  host,
  port: fc.integer({ min: 0, max: 65_535 }),
  candidates: fc.integer({ min: 0, max: 9 }),
  priorities: fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 9 }),
  recent: fc.integer({ min: 0, max: 1_000_000 }),
  history: fc.integer({ min: 0, max: 100_000_000 }),
  historyAge: fc.oneof(
    fc.maxSafeNat(),
    fc.integer({ min: 1, max: 400 }).map(days => days * 86_400_000),
  ),
  drain: fc.oneof(
    fc.maxSafeNat(),
    fc.integer({ min: 1, max: 600 }).map(seconds => seconds * 1000),
  ),
  logLevel: fc.constantFrom('debug', 'info', 'warn', 'error'),
  journal: fc.oneof(
    fc.constant('sqlite'),
    fc
      .tuple(fc.constantFrom('etcd', 'etcds'), fc.array(address, { minLength: 1, maxLength: 3 }), word)
      .map(([scheme, hosts, prefix]) => `${scheme}://${hosts.join(',')}/${prefix}`),
    fc.tuple(word, address, word).map(([user, at, database]) => `postgres://${user}@${at}/${database}?sslmode=verify-full`),
  ),
  listen: address,
  advertise: address,
  etcdCaFile: file,
  etcdCertFile: file,
  etcdKeyFile: file,
  etcdPasswordFile: file,
  allowUnsafeEtcd: fc.boolean(),
  postgresPasswordFile: file,
  blocks: fc.tuple(word, word).map(([bucket, prefix]) => `s3://b${bucket.replaceAll('_', '-')}/${prefix}`),
  encryptionKeyFile: file,
  joinTokenFile: file,
}

type Values = Partial<Record<SettingName, unknown>>

function textOf(name: SettingName, value: unknown): string {
  const { kind }: Setting = settings[name]
  const text = kind.text(kind.write(value))
  assert.ok(text !== undefined, name)
  return text
}

function argumentsFor(name: SettingName, value: unknown): string[] {
  if (value === true) return [flagOf(name)]
  if (value === false) return [flagOf(name).replace('--', '--no-')]
  return [flagOf(name), textOf(name, value)]
}

const entries = (values: Values): [SettingName, unknown][] => Object.entries(values) as [SettingName, unknown][]

let files = 0

/** What holds where flags, variables and a file say these values, as `cox up` reads them. */
async function whenSaid(said: { flags?: Values; environment?: Values; file?: Values }): Promise<Effective> {
  const command = withSettings(new Command('test')).exitOverride()
  const args = entries(said.flags ?? {}).flatMap(([name, value]) => argumentsFor(name, value))
  const path = join(folder, `${files++}.json`)
  const written = entries(said.file ?? {}).map(([name, value]) => [name, (settings[name] as Setting).kind.write(value)])
  writeFileSync(path, JSON.stringify(Object.fromEntries(written)))
  await command.parseAsync([...args, '--config', path], { from: 'user' })
  const before = { ...process.env }
  for (const [name, value] of entries(said.environment ?? {})) process.env[variableOf(name)] = textOf(name, value)
  try {
    return await settingsOf(command)
  } finally {
    for (const [name] of settingList) delete process.env[variableOf(name)]
    Object.assign(process.env, before)
    rmSync(path)
  }
}

const someValues = fc.record(valuesOf, { requiredKeys: [], noNullPrototype: true }) as fc.Arbitrary<Values>

describe('the schema of settings', () => {
  it('gives each its own flag and its own variable', () => {
    for (const nameOf of [flagOf, variableOf]) assert.equal(new Set(settingList.map(([name]) => nameOf(name))).size, settingList.length)
    assert.equal(flagOf('historyAge'), '--history-age')
    assert.equal(variableOf('etcdCaFile'), 'COX_ETCD_CA_FILE')
    for (const [name] of settingList) assert.ok(!otherVariables.includes(variableOf(name)), name)
  })

  it('has no secret that is not the path of a file', () => {
    for (const [name, setting] of settingList)
      if (setting.secret || /password|token|secret|key/i.test(name)) assert.equal(setting.kind, settings.etcdKeyFile.kind, name)
    for (const [name, setting] of settingList) if (/(password|token|key)file$/i.test(name)) assert.equal(setting.secret, true, name)
  })

  it('writes its defaults as it reads them', () => {
    for (const [name, setting] of settingList) {
      if (!('value' in setting.standard) || setting.standard.value === '') continue
      assert.deepEqual(setting.kind.parse(textOf(name, setting.standard.value), '/'), setting.standard.value, name)
    }
  })

  it('is what docs/configuration.md says', () => {
    const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')
    assert.equal(page, configurationPage(page))
    for (const [name] of settingList) assert.match(page, new RegExp(`^\\| \`${name}\` \\|`, 'm'))
    for (const variable of otherVariables) assert.match(page, new RegExp(`^\\| \`${variable}\` \\|`, 'm'))
  })

  it('takes the examples of docs/configuration.md, which say the same', () => {
    const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')
    const json = /```json\n([\s\S]*?)```/.exec(page)![1]!
    const module = /defineConfig\((\{[\s\S]*?\})\)/.exec(page)![1]!
    const values = fileValues({ path: 'coxswain.config.json', content: JSON.parse(json) as Record<string, unknown> })
    assert.equal(Object.keys(values).length, 5)
    const asJson = module
      .replace(/(\w+):/g, '"$1":')
      .replaceAll("'", '"')
      .replace(/,\n\}/, '\n}')
    assert.deepEqual(JSON.parse(asJson), JSON.parse(json))
  })

  it('is checked by the type checker where a config file is TypeScript', () => {
    const config = defineConfig({ workers: 4, memory: '4gb', labels: ['a'], resources: { licence: 2 }, logLevel: 'warn' })
    assert.deepEqual(config, { workers: 4, memory: '4gb', labels: ['a'], resources: { licence: 2 }, logLevel: 'warn' })
    // @ts-expect-error: a number is wanted
    defineConfig({ workers: '4' })
    // @ts-expect-error: there is no such setting
    defineConfig({ workres: 4 })
    // @ts-expect-error: there is no such level
    defineConfig({ logLevel: 'loud' })
  })
})

describe('a setting', () => {
  for (const [name] of settingList) {
    it(`${name} says the same as a flag, a variable and in a file`, async () => {
      await fc.assert(
        fc.asyncProperty(valuesOf[name], async value => {
          for (const layer of ['flags', 'environment', 'file'] as const) {
            const { values } = await whenSaid({ [layer]: { [name]: value } })
            assert.deepEqual(values[name], value, layer)
          }
        }),
        { seed: 6, numRuns: 25 },
      )
    })
  }

  it('holds as the first of flag, variable, file and default says it, and its source is named', async () => {
    await fc.assert(
      fc.asyncProperty(someValues, someValues, someValues, async (flags, environment, file) => {
        const { values, sources } = await whenSaid({ flags, environment, file })
        for (const [name, { standard }] of settingList as readonly (readonly [SettingName, Setting])[]) {
          const wanted =
            name in flags
              ? (['flag', flags[name]] as const)
              : name in environment
                ? (['environment', environment[name]] as const)
                : name in file
                  ? (['file', file[name]] as const)
                  : (['default', 'value' in standard ? standard.value : undefined] as const)
          assert.deepEqual([sources[name].from, values[name]], wanted, name)
        }
      }),
      { seed: 6, numRuns: 60 },
    )
  })

  it('that is nonsense, in a file or a variable, is refused as that and nothing else happens', () => {
    const names = settingList.map(([name]) => name as string)
    const key = fc.oneof(fc.constantFrom(...names, '__proto__', 'constructor', 'toString', 'home'), fc.string())
    const nonsense = fc.oneof(
      fc.jsonValue(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom(Number.NaN, -1, 1e300, undefined, [[]], ['', 1], { a: {} }),
    )
    fc.assert(
      fc.property(
        fc.array(fc.tuple(key, nonsense), { maxLength: 5 }),
        fc.string({ unit: 'binary' }),
        fc.constantFrom(...names),
        (content, text, name) => {
          const file = { path: '/config.ts', content: Object.fromEntries(content) }
          for (const said of [
            { flags: {}, environment: {}, file, folder: '/' },
            { flags: {}, environment: { [variableOf(name)]: text }, file: undefined, folder: '/' },
          ]) {
            try {
              const { values } = effectiveSettings(said)
              for (const [one, setting] of settingList)
                if (values[one] !== undefined) assert.deepEqual(setting.kind.parse(textOf(one, values[one]), '/'), values[one], one)
            } catch (error) {
              assert.ok(error instanceof CoxswainError && error.code === 'INVALID_CONFIG', String(error))
            }
          }
        },
      ),
      { seed: 6, numRuns: 3000 },
    )
  })

  it('that is empty in the environment says nothing', async () => {
    process.env['COX_PORT'] = ''
    const { sources } = await whenSaid({ file: { port: 4700 } })
    assert.equal(sources.port.from, 'file')
    delete process.env['COX_PORT']
  })

  it('that is given several times as a flag adds up where it is a list', async () => {
    const command = withSettings(new Command('test')).exitOverride()
    await command.parseAsync(['--labels', 'a,b', '--labels', 'c', '--resources', 'x=1', '--resources', 'y=0.5'], { from: 'user' })
    const { values } = await settingsOf(command, true)
    assert.deepEqual(values.labels, ['a', 'b', 'c'])
    assert.deepEqual(values.resources, [
      { name: 'x', millis: 1000 },
      { name: 'y', millis: 500 },
    ])
  })

  it('is not taken from environment or files for a cluster that belongs to a program', async () => {
    const command = withSettings(new Command('test')).exitOverride()
    await command.parseAsync(['--workers', '1'], { from: 'user' })
    process.env['COX_JOURNAL'] = 'etcd://10.0.0.1:2379/mine'
    const { values } = await settingsOf(command, true)
    delete process.env['COX_JOURNAL']
    assert.deepEqual([values.workers, values.journal], [1, 'sqlite'])
  })
})
