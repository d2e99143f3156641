// Shows that the reporter of `npm test` tells every failure in full, counts as node does, and tells what coverage misses.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const reporter = fileURLToPath(new URL('../../scripts/reporter.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'coxswain-reporter-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** What the reporter says about one test file with this text. */
function report(name: string, text: string, ...flags: string[]): { output: string; code: number | null } {
  const file = join(folder, name)
  writeFileSync(file, text)
  const { NODE_TEST_CONTEXT: _inner, ...env } = process.env
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--test', `--test-reporter=${reporter}`, ...flags, file], {
    encoding: 'utf8',
    env,
    cwd: folder,
  })
  return { output: stdout + stderr, code: status }
}

describe('reporter', () => {
  it('is brief about what passes', () => {
    const { output, code } = report(
      'passes.test.mjs',
      "import { it } from 'node:test'\nit('a', () => console.log('chatter'))\nit('b', () => {})\n",
    )
    assert.equal(code, 0)
    assert.match(output, /✔ .*passes\.test\.mjs \(2 passed/)
    assert.match(output, /^ℹ tests 2$/m)
    assert.match(output, /^ℹ pass 2$/m)
    assert.doesNotMatch(output, /chatter/)
  })

  it('has a line for each of the files that share a process', () => {
    writeFileSync(join(folder, 'beside.test.mjs'), "import { it } from 'node:test'\nit('c', () => { throw new Error('no') })\n")
    const text = "import { it } from 'node:test'\nit('a', () => {})\n"
    const { output, code } = report('shares.test.mjs', text, '--test-isolation=none', join(folder, 'beside.test.mjs'))
    assert.equal(code, 1)
    assert.match(output, /✔ .*shares\.test\.mjs \(1 passed, /)
    assert.match(output, /✖ .*beside\.test\.mjs \(0 passed, 1 failed, /)
  })

  it('tells a failure with its name, place, message and what the file wrote', () => {
    const text =
      "import assert from 'node:assert'\nimport { describe, it } from 'node:test'\ndescribe('outer', () => {\n  it('inner', () => {\n    console.log('a clue')\n    assert.equal(1, 2, 'one is not two')\n  })\n  it('fine', () => {})\n})\n"
    const { output, code } = report('fails.test.mjs', text)
    assert.equal(code, 1)
    assert.match(output, /✖ inner \(.*fails\.test\.mjs:4\)\n.*one is not two/)
    assert.match(output, /a clue/)
    assert.match(output, /✖ .*fails\.test\.mjs \(1 passed, 1 failed/)
    assert.match(output, /^ℹ fail 1$/m)
  })

  it('tells of a file that cannot even be loaded', () => {
    const { output, code } = report('broken.test.mjs', "import './nothing-here.mjs'\n")
    assert.equal(code, 1)
    assert.match(output, /nothing-here/)
    assert.match(output, /^ℹ fail 1$/m)
  })

  it('names what was skipped and why', () => {
    const { output } = report('skips.test.mjs', "import { it } from 'node:test'\nit('elsewhere', t => t.skip('needs another machine'))\n")
    assert.match(output, /skipped: elsewhere .*needs another machine/)
    assert.match(output, /^ℹ skipped 1$/m)
  })

  it('fails below the coverage that is asked for, and names the lines', () => {
    writeFileSync(join(folder, 'covered.mjs'), 'export function half(x) {\n  if (x) {\n    return 1\n  }\n  return 2\n}\n')
    const text = "import { it } from 'node:test'\nimport { half } from './covered.mjs'\nit('half', () => { half(true) })\n"
    const { output, code } = report(
      'cover.test.mjs',
      text,
      '--experimental-test-coverage',
      '--test-coverage-include=covered.mjs',
      '--test-coverage-lines=95',
    )
    assert.equal(code, 1)
    assert.match(output, /coverage: lines \d+\.\d %, branches/)
    assert.match(output, /covered\.mjs: .*not run: 5/)
  })
})
