// Shows that what `npm pack` makes is what a user needs: sound by the package checkers, installable into an empty folder, and
// that the README's quick start runs from there.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { quickStart } from './quick-start.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown> & { version: string }
/** A command that takes longer is ended; the test then fails with what it wrote. */
const commandTimeoutMs = 300_000

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'coxswain-pack-')))
const home = join(folder, 'state')
const user = join(folder, 'a user')
let tarball = ''

interface Ended {
  code: number | null
  output: string
}

/** Runs a command as a user would, in the user's own folder by default. */
function run(command: string, args: readonly string[], cwd = user): Promise<Ended> {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('COX_') && !name.startsWith('npm_') && name !== 'NODE_TEST_CONTEXT',
  )
  const env = {
    ...Object.fromEntries(kept),
    NO_COLOR: '1',
    XDG_STATE_HOME: home,
    PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
  }
  return new Promise(resolve => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: commandTimeoutMs })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (output += piece.toString('utf8')))
    child.on('error', error => resolve({ code: null, output: `${output}${error.message}` }))
    child.on('close', code => resolve({ code, output }))
  })
}

async function mustRun(command: string, args: readonly string[], cwd = user): Promise<string> {
  const { code, output } = await run(command, args, cwd)
  assert.equal(code, 0, `${command} ${args.join(' ')} ended with ${code}:\n${output}`)
  return output
}

const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']

before(async () => {
  mkdirSync(user)
  await mustRun('npm', ['pack', '--pack-destination', folder, '--loglevel=error'], root)
  tarball = join(folder, readdirSync(folder).find(name => name.endsWith('.tgz')) ?? 'no tarball')
})

after(async () => {
  const command = join(user, 'node_modules/.bin/cox')
  if (existsSync(command)) await run(command, ['down', '--force'])
  rmSync(folder, { recursive: true, force: true })
})

describe('the package', () => {
  it('is sound: publint has nothing to say', async () => {
    const bytes = readFileSync(tarball)
    const { messages, pkg } = await publint({
      strict: true,
      pack: { tarball: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) },
    })
    assert.deepEqual(
      messages.map(message => formatMessage(message, pkg)),
      [],
    )
  })

  it('is typed for every ESM resolver: are-the-types-wrong has nothing to say', async () => {
    const result = await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(tarball))))
    assert.ok(result.types, 'the package has no types')
    // The package is ESM only: resolvers of require() and of TypeScript before node16 are not meant.
    const foreign = new Set(['node10', 'node16-cjs'])
    const problems = result.problems.filter(problem => !('resolutionKind' in problem && foreign.has(problem.resolutionKind)))
    assert.deepEqual(problems, [])
  })

  it('holds what a user needs and nothing else', async () => {
    const names = (await mustRun('tar', ['-tzf', tarball], folder)).trim().split('\n')
    for (const name of ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js']) {
      assert.ok(names.includes(`package/${name}`), `${name} is missing`)
    }
    const strange = names.filter(
      name =>
        !/^package\/(dist\/.*\.(js|d\.ts)|package\.json|README(\.zh-CN)?\.md|LICENSE|CHANGELOG\.md)$/.test(name) ||
        /conformance|\.test\./.test(name),
    )
    assert.deepEqual(strange, [])
  })
})

describe('installed into an empty folder', () => {
  before(async () => {
    writeFileSync(join(user, 'package.json'), '{ "type": "module", "private": true }\n')
    await mustRun('npm', [...install, tarball])
  })

  it('is imported as a module', async () => {
    const names = await mustRun(process.execPath, [
      '--input-type=module',
      '-e',
      "console.log(Object.keys(await import('coxswain')).join(' '))",
    ])
    for (const name of ['connect', 'task', 'CoxswainError'])
      assert.ok(names.split(/\s+/).includes(name), `${name} is not exported: ${names}`)
  })

  it('gives the command cox, which is executable and knows its release', async () => {
    const command = join(user, 'node_modules/.bin/cox')
    assert.ok(statSync(command).mode & 0o100)
    assert.ok((await mustRun(command, ['version'])).includes(manifest.version))
  })

  it('type checks without skipLibCheck', async () => {
    writeFileSync(
      join(user, 'typed.ts'),
      "import { connect, task } from 'coxswain'\nexport const one = task({ name: 'one', run: (input: { a: number }) => input.a })\nexport const f = connect\n",
    )
    const options = {
      strict: true,
      noEmit: true,
      module: 'nodenext',
      target: 'es2024',
      lib: ['es2024', 'esnext.disposable'],
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    }
    writeFileSync(join(user, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['typed.ts'] }))
    await mustRun(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'])
  })

  it('says in one line that a Node before 24 is too old', async t => {
    const old = (process.env['PATH'] ?? '')
      .split(delimiter)
      .map(path => join(path, 'node'))
      .filter(path => existsSync(path))
    for (const node of old) {
      const { output } = await run(node, ['--version'])
      if (Number(/^v(\d+)/.exec(output)?.[1] ?? 99) >= 24) continue
      const refused = await run(node, [join(user, 'node_modules/coxswain/dist/cli/main.js'), 'version'])
      assert.notEqual(refused.code, 0)
      assert.match(refused.output, /24/)
      assert.equal(refused.output.trim().split('\n').length, 1, refused.output)
      return
    }
    t.skip('every Node on the path is new enough')
  })

  for (const readme of ['README.md', 'README.zh-CN.md']) {
    it(`runs the quick start of ${readme}`, async () => {
      const { files, commands } = quickStart(readFileSync(join(root, readme), 'utf8'))
      assert.ok(Object.keys(files).length > 0 && commands.length > 0, `${readme} marks no quick start`)
      for (const [name, text] of Object.entries(files)) writeFileSync(join(user, name), text)
      // What is not published yet is installed from the tarball.
      const script = commands.map(line =>
        line.replace(/\bnpm (install|i|add) (.*)\bcoxswain\b/, (_all, _verb, others) => `npm ${install.join(' ')} ${others}'${tarball}'`),
      )
      await mustRun('bash', ['-euo', 'pipefail', '-c', script.join('\n')])
    })
  }
})
