// Shows where keys may come from, what is refused, and that no error tells anything of a key.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { type KeySources, openKeyring } from '../../src/platform/node/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'cox-keys-'))
after(() => rm(folder, { recursive: true, force: true }))

const [one, two] = [randomBytes(32), randomBytes(32)]
const hex = (key: Buffer): string => key.toString('hex')
const base64 = (key: Buffer): string => key.toString('base64')

let serial = 0

function keyFile(text: string, mode = 0o600): string {
  const path = join(folder, `keys-${serial++}`)
  writeFileSync(path, text, { mode })
  chmodSync(path, mode)
  return path
}

/** Asserts that keys are refused, in words that hold nothing of what was read. */
async function refused(
  sources: KeySources,
  words: RegExp,
  secrets: readonly string[] = [],
  code = 'ENCRYPTION_KEY_UNUSABLE',
): Promise<void> {
  await assert.rejects(openKeyring(sources), (error: unknown) => {
    assert.ok(error instanceof CoxswainError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, words)
    const shown = `${error.message} ${error.stack} ${String(error.cause)} ${error.id}`
    for (const secret of secrets) for (let at = 0; at + 6 <= secret.length; at += 3) assert.ok(!shown.includes(secret.slice(at, at + 6)))
    return true
  })
}

describe('keys from a file', () => {
  it('in hex and in base64 are the same, the first one in front; what is behind a # is for people', async () => {
    const text = await openKeyring({ file: keyFile(`# since May\n${base64(one)}  # ours\n\n${hex(two).toUpperCase()}\r\n`) })
    const plain = await openKeyring({ file: keyFile(`${hex(one)},${hex(two)}`, 0o400) })
    assert.deepEqual(text!.keys, plain!.keys)
    const link = join(folder, 'link')
    symlinkSync(keyFile(hex(one)), link)
    assert.deepEqual((await openKeyring({ file: link }))!.keys, plain!.keys.slice(0, 1))
  })

  it('that others may use is refused', async () => {
    for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
      await refused({ file: keyFile(hex(one), mode) }, new RegExp(`mode 0${mode.toString(8)}`), [hex(one)])
    const open = keyFile(hex(one), 0o644)
    const link = join(folder, 'open-link')
    symlinkSync(open, link)
    await refused({ file: link }, /mode 0644/)
  })

  it('that is not there, is no file, or is far too large is refused', async () => {
    await refused({ file: join(folder, 'nowhere') }, /ENOENT/)
    await refused({ file: folder }, /not a regular file/)
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', ['-m', '600', pipe])
    await refused({ file: pipe }, /not a regular file/)
    await refused({ file: keyFile('# '.repeat(40_000)) }, /no file of keys/)
  })

  it('that are no keys of 256 bits are refused, and not repeated', async () => {
    const bad = [
      hex(one).slice(1),
      `${hex(one)}0`,
      base64(one).slice(0, -1),
      base64(randomBytes(31)),
      base64(randomBytes(33)),
      'correct horse battery',
    ]
    for (const text of bad)
      await refused({ file: keyFile(`${hex(two)}\n${text}`) }, /^Key 2 in the key file .* is not 256 bits/, [text, hex(two)])
    await refused({ file: keyFile('\n# nothing\n') }, /holds no key/)
    await refused({ file: keyFile(`${hex(one)}\n${base64(one)}`) }, /there twice/, [hex(one), base64(one)])
    await refused({ file: keyFile('0'.repeat(64)) }, /no key/)
    await refused({ file: keyFile(Array.from({ length: 65 }, () => hex(randomBytes(32))).join('\n')) }, /more than 64 keys/)
  })
})

describe('keys from the environment', () => {
  it('are taken out of it, so that no child inherits them, also when they are refused', async () => {
    const environment: NodeJS.ProcessEnv = { COX_ENCRYPTION_KEY: `${hex(one)} ${base64(two)}`, OTHER: 'stays' }
    const ring = await openKeyring({ environment })
    assert.equal(ring!.keys.length, 2)
    assert.deepEqual(environment, { OTHER: 'stays' })
    const bad: NodeJS.ProcessEnv = { COX_ENCRYPTION_KEY: hex(one).slice(2) }
    await refused({ environment: bad }, /variable COX_ENCRYPTION_KEY is not 256 bits/, [hex(one).slice(2)])
    assert.deepEqual(bad, {})
    process.env['COX_ENCRYPTION_KEY'] = hex(one)
    await openKeyring({ environment: process.env })
    const inherited = execFileSync(process.execPath, ['-p', 'String(process.env.COX_ENCRYPTION_KEY)'], { encoding: 'utf8' })
    assert.equal(inherited.trim(), 'undefined')
  })
})

describe('keys from a command', () => {
  const node = (code: string, ...args: string[]): string[] => [process.execPath, '-e', code, ...args]

  it('are what it prints; no shell is between', async () => {
    const ring = await openKeyring({ command: node('process.stdout.write(process.argv[1])', hex(one)) })
    assert.deepEqual(ring!.keys, (await openKeyring({ environment: { COX_ENCRYPTION_KEY: hex(one) } }))!.keys)
    const patient = `process.stdin.resume().on('end', () => console.log('${hex(one)}'))`
    assert.deepEqual((await openKeyring({ command: node(patient) }))!.keys, ring!.keys, 'its input is at an end')
    // A shell would put a key in the place of this.
    const words = `$(echo ${hex(one)})`
    await refused({ command: node('process.stdout.write(process.argv[1])', words) }, /is not 256 bits/, [hex(one)])
  })

  it('that fails, prints too much or never ends is refused, and nothing of what it printed is told', async () => {
    const talk = `console.error('${hex(one)}'); console.log('${hex(two)}');`
    const secrets = [hex(one), hex(two)]
    await refused({ command: node(`${talk} process.exitCode = 3`) }, /ended with exit code 3/, secrets)
    await refused({ command: node(`${talk} process.kill(process.pid, 'SIGKILL')`) }, /ended with SIGKILL/, secrets)
    await refused({ command: node(`process.stdout.write('x'.repeat(1 << 20))`) }, /printed more than 65536 bytes/)
    await refused({ command: node(`${talk} setInterval(() => 0, 1000)`), commandTimeoutMs: 300 }, /was not done after 300 ms/, secrets)
    await refused({ command: [join(folder, 'no-such-program')] }, /cannot be run \(ENOENT\)/)
    await refused({ command: [] }, /is empty/)
  })
})

describe('keys from anywhere', () => {
  it('are none where none are given, and come from one place only', async () => {
    assert.equal(await openKeyring({}), undefined)
    assert.equal(await openKeyring({ environment: { OTHER: 'x' } }), undefined)
    const environment = { COX_ENCRYPTION_KEY: hex(one) }
    await refused({ file: keyFile(hex(one)), environment }, /a key file and the variable/, [hex(one)], 'INVALID_ARGUMENT')
    assert.deepEqual(environment, {})
    await refused({ file: keyFile(hex(one)), command: ['cat'] }, /a key file and a command/, [], 'INVALID_ARGUMENT')
  })
})
