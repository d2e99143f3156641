// Owns the tests of config files with real `cox` processes: which one is found, what runs, what is refused and in which words.
// Must not test each setting: config.test.ts does.
import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { type CoxResult, cox, startCox, temporaryHome } from './cox.ts'

const root = mkdtempSync(join(tmpdir(), 'cox-test-config-files-'))
after(() => rmSync(root, { recursive: true, force: true }))
const home = join(root, 'state')
const defineConfigModule = new URL('../../src/client/config.ts', import.meta.url).href

let folders = 0

/** A folder of its own with these files in it. */
function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = join(root, `case-${folders++}`)
  mkdirSync(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

function run(args: readonly string[], cwd: string, env: Record<string, string> = {}): Promise<CoxResult> {
  return cox(args, { home, cwd, env })
}

interface Shown {
  file: string | null
  settings: Record<string, { value: unknown; from: string; where: string; variable: string }>
  strangers: { variable: string; meant: string }[]
}

async function shownIn(cwd: string, env: Record<string, string> = {}, args: readonly string[] = []): Promise<Shown> {
  const { code, stdout } = await run(['config', '--json', ...args], cwd, env)
  assert.equal(code, 0, stdout)
  return JSON.parse(stdout) as Shown
}

/** The complaint of `cox config` in this folder. */
async function refusedIn(cwd: string, args: readonly string[] = [], env: Record<string, string> = {}): Promise<string> {
  const { code, stdout } = await run(['config', '--json', ...args], cwd, env)
  const { error } = JSON.parse(stdout) as { error: { code: string; message: string } }
  assert.deepEqual([code, error.code], [2, 'INVALID_CONFIG'], stdout)
  return error.message
}

describe('a config file', () => {
  it('in TypeScript is loaded with its types, its imports and defineConfig', async () => {
    const folder = folderWith({
      'shared.ts': 'export const cores: number = 3',
      'coxswain.config.ts': `
        import { defineConfig } from 'coxswain'
        import type { Anything } from './nowhere.ts'
        import { cores } from './shared.ts'
        interface Machine { memory: \`\${number}gb\` }
        const machine: Machine = { memory: '2gb' }
        export default defineConfig({ workers: cores, memory: machine.memory satisfies string, port: undefined, etcdKeyFile: 'keys/etcd.pem' })`,
    })
    mkdirSync(join(folder, 'node_modules/coxswain'), { recursive: true })
    writeFileSync(join(folder, 'node_modules/coxswain/package.json'), '{ "name": "coxswain", "type": "module", "exports": "./index.js" }')
    writeFileSync(join(folder, 'node_modules/coxswain/index.js'), `export * from '${defineConfigModule}'`)
    const { file, settings } = await shownIn(folder)
    assert.equal(file, join(folder, 'coxswain.config.ts'))
    assert.deepEqual([settings['workers']?.value, settings['memory']?.value], [3, '2gb'])
    assert.deepEqual(settings['port'], { value: 0, from: 'default', where: '', variable: 'COX_PORT' })
    assert.equal(settings['etcdKeyFile']?.value, join(folder, 'keys/etcd.pem'))
  })

  it('is found upwards, the nearest first, and ends in ts, js, mjs or json', async () => {
    const folder = folderWith({ 'coxswain.config.json': '{ "workers": 5 }' })
    const inner = join(folder, 'packages')
    mkdirSync(join(inner, 'deep'), { recursive: true })
    assert.equal((await shownIn(join(inner, 'deep'))).settings['workers']?.value, 5)
    for (const [name, text] of [
      ['coxswain.config.js', 'module.exports = { workers: 6 }'],
      ['coxswain.config.mjs', 'export default Promise.resolve({ workers: await Promise.resolve(7) })'],
    ] as const) {
      writeFileSync(join(inner, name), text)
      const { file, settings } = await shownIn(join(inner, 'deep'))
      assert.deepEqual([file, settings['workers']?.value], [join(inner, name), name.endsWith('mjs') ? 7 : 6])
      rmSync(join(inner, name))
    }
  })

  it('that is named is taken instead: by --config before COX_CONFIG before what is found', async () => {
    const folder = folderWith({ 'coxswain.config.json': '{ "port": 1 }', 'a.json': '{ "port": 2 }', 'b.json': '{ "port": 3 }' })
    assert.equal((await shownIn(folder)).settings['port']?.value, 1)
    assert.equal((await shownIn(folder, { COX_CONFIG: 'a.json' })).settings['port']?.value, 2)
    const named = await shownIn(folder, { COX_CONFIG: 'a.json' }, ['--config', 'b.json'])
    assert.deepEqual([named.settings['port']?.value, named.file], [3, join(folder, 'b.json')])
    assert.match(await refusedIn(folder, ['--config', 'c.json']), /c\.json: is not there/)
    assert.match(await refusedIn(folder, ['--config', 'c.yaml']), /must end in one of \.ts/)
    mkdirSync(join(folder, 'd.json'))
    assert.match(await refusedIn(folder, ['--config', 'd.json']), /d\.json: is no file/)
  })

  it('beside another one is refused, with both names', async () => {
    const folder = folderWith({ 'coxswain.config.json': '{}', 'coxswain.config.ts': 'export default {}' })
    assert.match(await refusedIn(folder), /several config files: .*config\.ts, .*config\.json\./)
  })

  it('with everything wrong in it says all of it at once, with the nearest names, and no password', async () => {
    const folder = folderWith({
      'coxswain.config.json': JSON.stringify({
        workres: 3,
        port: '4700',
        labels: ['fast', 7, 'a,b'],
        candidates: 10,
        logLevel: 'loud',
        allowUnsafeEtcd: 'yes',
        memory: null,
        home: '/srv',
        etcdPassword: 'hunter2',
        journal: 'postgres://me:hunter2@db/cox',
        completelyElse: 1,
      }).replace('{', '{"__proto__":1,'),
    })
    const message = await refusedIn(folder)
    for (const part of [
      /"workres" is no setting: did you mean workers\?/,
      /port is "4700"\. It must be a whole number from 0 to 65535\./,
      /labels is .*It must be names/,
      /candidates is 10\. It must be a whole number from 0 to 9\./,
      /logLevel is "loud"\. Allowed choices are debug, info, warn, error\./,
      /allowUnsafeEtcd is "yes"\. It must be true or false\./,
      /memory is null\. It must be bytes/,
      /home is no setting of a file: only the variable COX_HOME says it\./,
      /"etcdPassword" is no setting: did you mean etcdPasswordFile\?/,
      /journal is .*holds a password.*postgresPasswordFile/,
      /"completelyElse" is no setting; docs\/configuration\.md/,
      /"__proto__" is no setting/,
    ])
      assert.match(message, part)
    assert.doesNotMatch(message, /hunter2/)
  })

  it('that is half-written is named with its line', async () => {
    for (const [name, text, line, words] of [
      ['coxswain.config.json', '{\n  "workers": 3,\n  "labels": ["a"', 3, /is no JSON/],
      ['coxswain.config.json', '{\n  "workers": 3,\n', 2, /is no JSON/],
      ['coxswain.config.json', '{\n  "workers": 3\n  "port": 4\n}', 3, /is no JSON/],
      ['coxswain.config.ts', 'const n: number = 3\nexport default {\n  workers: n,\n', 3, /does not load: SyntaxError/],
      ['coxswain.config.ts', 'const n = 3\n\nenum Level { a }\nexport default {}', 3, /does not load: .*enum/],
      ['coxswain.config.mjs', 'export default {\n  workers 3,\n}\n', 2, /does not load: SyntaxError/],
    ] as const) {
      const folder = folderWith({ [name]: text })
      const message = await refusedIn(folder)
      assert.ok(message.startsWith(`${join(folder, name)}:${line}: `), `${JSON.stringify(text)}: ${message}`)
      assert.match(message, words)
    }
  })

  it('that is empty, holds no object or exports nothing says so', async () => {
    for (const [name, text, words] of [
      ['coxswain.config.json', '', /is empty/],
      ['coxswain.config.json', ' \n', /is empty/],
      ['coxswain.config.json', '[1]', /must hold an object with settings/],
      ['coxswain.config.json', 'null', /must hold an object with settings/],
      ['coxswain.config.ts', 'export const settings = { workers: 3 }', /has no default export, only settings/],
      ['coxswain.config.mjs', 'export default Promise.resolve([])', /must export as its default an object/],
      ['coxswain.config.mjs', 'export default () => ({})', /must export as its default an object/],
    ] as const)
      assert.match(await refusedIn(folderWith({ [name]: text })), words, text)
  })

  it('that throws, or imports what is not there, is named with its line', async () => {
    const throws = folderWith({ 'coxswain.config.ts': 'type A = 1\n\nthrow new RangeError("no such host")\nexport default {}' })
    assert.match(await refusedIn(throws), /coxswain\.config\.ts:3: does not load: RangeError: no such host/)
    const deep = folderWith({
      'helper.mjs': 'export function read() {\n  throw "just text"\n}',
      'coxswain.config.mjs': 'import { read } from "./helper.mjs"\nexport default { workers: read() }',
    })
    assert.match(await refusedIn(deep), /does not load: just text/)
    const missing = folderWith({ 'coxswain.config.mjs': 'import "./nowhere.mjs"\nexport default {}' })
    assert.match(await refusedIn(missing), /does not load: Error: Cannot find module/)
  })

  it('in JSON runs nothing, whatever its text', async () => {
    const folder = folderWith({ 'coxswain.config.json': 'process.exit(77)' })
    assert.match(await refusedIn(folder), /:1: is no JSON/)
  })

  it('that was found, not named, belongs to this user or the system and is closed to others', async t => {
    const folder = folderWith({ 'coxswain.config.json': '{ "port": 9 }' })
    const path = join(folder, 'coxswain.config.json')
    chmodSync(path, 0o666)
    assert.match(await refusedIn(folder), /everybody may write to it: close it \(chmod o-w\)/)
    assert.equal((await shownIn(folder, {}, ['--config', path])).settings['port']?.value, 9)
    chmodSync(path, 0o644)
    if (process.geteuid?.() !== 0) return t.skip('only root can give a file to another user')
    chownSync(path, 12_345, 12_345)
    assert.match(await refusedIn(folder), /belongs to user 12345: name it with --config/)
    assert.equal((await shownIn(folder, {}, ['--config', path])).settings['port']?.value, 9)
  })
})

describe('cox config', () => {
  it('tells of every setting its value and where it came from, also of those for all commands', async () => {
    const folder = folderWith({ 'coxswain.config.json': '{ "port": 4700, "workers": 3, "drain": 60000 }' })
    const env = {
      COX_WORKERS: '4',
      COX_ETCD_PASSWORD_FILE: 'etcd.txt',
      COX_URL: 'ws://10.0.0.1:4700',
      COX_WORKRES: '9',
      COX_ZZZZZZZZZZ: '1',
    }
    const { settings, strangers } = await shownIn(folder, env, ['--candidates', '3'])
    const path = join(folder, 'coxswain.config.json')
    const from = (name: string) => [settings[name]?.value, settings[name]?.from, settings[name]?.where]
    assert.deepEqual(from('candidates'), [3, 'flag', '--candidates'])
    assert.deepEqual(from('workers'), [4, 'environment', 'COX_WORKERS'])
    assert.deepEqual(from('port'), [4700, 'file', path])
    assert.deepEqual(from('drain'), ['1m', 'file', path])
    assert.deepEqual(from('host'), ['127.0.0.1', 'default', ''])
    assert.deepEqual(from('labels'), [null, 'default', ''])
    assert.deepEqual(from('etcdPasswordFile'), [join(folder, 'etcd.txt'), 'environment', 'COX_ETCD_PASSWORD_FILE'])
    assert.deepEqual(from('home'), [home, 'environment', 'COX_HOME'])
    assert.deepEqual(from('url'), ['ws://10.0.0.1:4700', 'environment', 'COX_URL'])
    assert.deepEqual(from('tokenFile'), [join(home, 'tokens/user'), 'default', ''])
    assert.deepEqual(strangers, [{ variable: 'COX_WORKRES', meant: 'COX_WORKERS' }])
    const table = await run(['config', '--candidates', '3'], folder, env)
    assert.match(table.stdout, /^config file .*coxswain\.config\.json\n\nsetting +value +from\n/)
    assert.match(table.stdout, /^candidates +3 +--candidates$/m)
    assert.match(table.stdout, /^workers +4 +COX_WORKERS$/m)
    assert.match(table.stdout, /^port +4700 +file$/m)
    assert.match(table.stdout, /^memory +its share of 80 % of the machine +default$/m)
    assert.match(table.stderr, /COX_WORKRES is no setting and is not heeded: did you mean COX_WORKERS\?/)
  })

  it('shows the paths of secrets and never opens them', async () => {
    const folder = folderWith({
      'key.txt': 'c4n4ry',
      'coxswain.config.json': '{ "encryptionKeyFile": "key.txt", "journal": "etcd://h/p" }',
    })
    for (const args of [['config'], ['config', '--json'], ['config', '--check', 'coxswain.config.json', '--json']]) {
      const { code, stdout, stderr } = await run(args, folder)
      assert.equal(code, 0)
      assert.match(stdout, /key\.txt|encryptionKeyFile/)
      assert.doesNotMatch(stdout + stderr, /c4n4ry/)
    }
    writeFileSync(join(folder, 'coxswain.config.json'), JSON.stringify({ encryptionKeyFile: '-----BEGIN KEY-----\nc4n4ry\n' }))
    assert.match(await refusedIn(folder), /encryptionKeyFile is .*It must be the path of a file, not what is in it/)
  })

  it('--check reads one file, here or for another machine, and nothing else', async () => {
    const folder = folderWith({
      'coxswain.config.json': 'broken',
      'other.json': '{ "workers": 3, "labels": ["a"] }',
      'bad.json': '{ "worker": 3 }',
    })
    const good = await run(['config', '--check', 'other.json', '--json'], folder, { COX_WORKERS: 'nonsense' })
    assert.deepEqual(
      [good.code, JSON.parse(good.stdout)],
      [0, { ok: true, file: join(folder, 'other.json'), settings: { workers: 3, labels: ['a'] } }],
    )
    const words = await run(['config', '--check', 'other.json'], folder)
    assert.equal(words.stdout, `${join(folder, 'other.json')} is well: workers, labels.\n`)
    const bad = await run(['config', '--check', 'bad.json'], folder)
    assert.deepEqual([bad.code, bad.stdout], [2, ''])
    assert.match(bad.stderr, /^cox: INVALID_CONFIG: .*bad\.json: "worker" is no setting: did you mean workers\?/)
  })

  it('refuses variables by their name', async () => {
    const folder = folderWith({})
    const message = await refusedIn(folder, [], { COX_WORKERS: 'many', COX_PORT: 'tcp://10.0.0.1:4700', COX_ALLOW_UNSAFE_ETCD: 'perhaps' })
    assert.match(message, /COX_WORKERS is "many"\. It must be a whole number from 0 to 256\./)
    assert.match(message, /COX_PORT is "tcp:\/\/10\.0\.0\.1:4700"\./)
    assert.match(message, /COX_ALLOW_UNSAFE_ETCD is "perhaps"\. It must be true or false\./)
  })
})

describe('cox up', () => {
  it('takes its settings from the file and the environment, and its flags before them', async t => {
    const place = temporaryHome('config-up')
    t.after(() => place.cleanUp())
    writeFileSync(
      join(place.folder, 'coxswain.config.ts'),
      "const label: string = 'from-file'\nexport default { workers: 2, executors: 1, candidates: 1, labels: [label], memory: '64mb' }",
    )
    const up = startCox(['up', '--workers', '1', '--json'], { home: place.home, cwd: place.folder, env: { COX_MEMORY: '96mb' } })
    await up.wrote(/"ready":true/)
    const workers = JSON.parse((await cox(['workers', '--json'], { home: place.home })).stdout) as {
      labels: string[]
      capacity: { memoryBytes: number }
    }[]
    assert.equal(workers.length, 1)
    assert.deepEqual([workers[0]?.labels, workers[0]?.capacity.memoryBytes], [['from-file'], 96 * 2 ** 20])
    up.child.kill('SIGTERM')
    assert.equal((await up.ended).code, 0)
  })

  it('starts nothing where a setting is wrong, in the background too', async () => {
    const folder = folderWith({ 'coxswain.config.json': '{ "workers": -1 }' })
    for (const args of [['up'], ['up', '--detach']]) {
      const { code, stdout, stderr } = await run(args, folder)
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, /^cox: INVALID_CONFIG: .*workers is -1\. It must be a whole number from 0 to 256\./)
    }
  })
})
