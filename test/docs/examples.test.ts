// Shows that the examples run as their headers say, each with a cluster of its own for the life of the process.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cox, temporaryHome } from '../cli/cox.ts'

const folder = mkdtempSync(join(tmpdir(), 'coxswain-examples-'))
/** An example that takes longer is ended; the test then fails. */
const timeoutMs = 120_000

/** Runs an example as a user would, and gives what it wrote to stdout. */
function run(example: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<string> {
  const path = fileURLToPath(new URL(`../../examples/${example}`, import.meta.url))
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith('COX_') && name !== 'NODE_TEST_CONTEXT')
  const env = { ...Object.fromEntries(others), XDG_STATE_HOME: join(folder, 'state'), ...more }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [path, ...args], { cwd: folder, env, timeout: timeoutMs }, (error, output, complaints) => {
      if (error) reject(new Error(`${example}: ${error.message}\n${complaints}`))
      else resolve(output)
    })
  })
}

after(() => rmSync(folder, { recursive: true, force: true }))

describe('the examples', () => {
  it('greet.ts greets', async () => {
    const lines = (await run('greet.ts', [])).trim().split('\n')
    assert.deepEqual(lines, ['Hello, Ada!', 'Hello, Grace!', 'Hello, Barbara!', 'Hello, Frances!', 'greet-margaret Hello, Margaret!'])
  })

  it('thumbnails.ts draws, shrinks and writes pictures', async () => {
    await run('thumbnails.ts', ['pictures', '3'])
    const names = readdirSync(join(folder, 'pictures'))
    assert.deepEqual(names, ['look-000.ppm', 'look-001.ppm', 'look-002.ppm'])
    const head = 'P6 160 120 255\n'
    for (const name of names) {
      const picture = readFileSync(join(folder, 'pictures', name))
      assert.equal(picture.subarray(0, head.length).toString(), head)
      assert.equal(picture.length, head.length + 160 * 120 * 3)
      assert.ok(new Set(picture.subarray(head.length)).size > 10, `${name} is of one colour`)
    }
  })

  it('orders.ts ships an order, and takes another one back', async () => {
    const lines = (await run('orders.ts', [])).trim().split('\n')
    assert.deepEqual(lines, ['on its way to Kiel, receipt-o-1', 'nobody ships to the moon', 'refunded receipt-o-2', 'put o-2 back'])
  })

  it('etl.ts loads one batch, sets a bad one aside, and removes one whose sum is wrong', async () => {
    assert.deepEqual((await run('etl.ts', [])).trim().split('\n'), [
      'loaded, 12200 cents',
      'set aside, 1 bad lines',
      '5300 cents were loaded, and the source says 9999',
      'removed 2 rows',
      'oar 1100, oar 1200, sail 9900',
    ])
  })

  it('words.ts counts the words of as many files as there are', async () => {
    for (const [name, text] of Object.entries({ 'a.md': 'steer steer oars', 'b.md': 'steer oars boat', 'c.txt': 'boat boat boat' }))
      writeFileSync(join(folder, name), text)
    assert.deepEqual((await run('words.ts', [folder])).trim().split('\n'), ['3 steer', '2 oars', '1 boat'])
  })

  it('agent.ts goes on until it has an answer', async () => {
    assert.equal((await run('agent.ts', [])).trim(), 'found 700 after 8 looks')
  })

  it('approval.ts publishes what was approved, and shelves what was not', async () => {
    const lines = (await run('approval.ts', [])).trim().split('\n')
    assert.deepEqual(lines, ['"Oars", three pages: published, approved by Ada', '"Rudders", three pages: shelved, nobody answered'])
  })

  it('crawler.ts visits every page, and goes easy on each host', async () => {
    assert.deepEqual((await run('crawler.ts', [])).trim().split('\n'), ['14 pages', 'at most two at once on each host'])
  })

  it('payments.ts ships what was paid for, and books it once', async () => {
    assert.deepEqual((await run('payments.ts', [])).trim().split('\n'), [
      'delivery 1: started 1, woke 1',
      'delivery 2: started 1, woke 1',
      'o-1: shipped for 42',
      'o-1: 42 booked',
      'booked 1 time',
      'o-2: reminded, nobody paid',
    ])
  })

  it('nightly.ts runs once now, and never beside itself', async () => {
    assert.deepEqual((await run('nightly.ts', [])).trim().split('\n'), [
      '3 items, 24 characters',
      'never two at a time',
      'at-night: 0 2 * * * Europe/Berlin, ran 1 time',
    ])
  })

  it('fenced.ts refuses the late write of who lost the lock, and loses an addition without the token', async () => {
    const { home, cleanUp } = temporaryHome('example-fenced')
    try {
      assert.equal((await cox(['up', '--detach', '--workers', '1', '--json'], { home })).code, 0)
      assert.deepEqual((await run('fenced.ts', [], { COX_HOME: home })).trim().split('\n'), [
        'with the token: the late write was refused, the counter is 2 after 2 additions',
        'without the token: the late write was written, the counter is 1 after 2 additions',
      ])
    } finally {
      await cox(['down', '--force', '--json'], { home })
      cleanUp()
    }
  })
})
