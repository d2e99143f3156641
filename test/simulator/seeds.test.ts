// Runs the simulator as its users do: stored schedules and some seeds, the same seed twice, and one planted bug that must be found.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../simulator/main.ts', import.meta.url))

function simulate(...given: string[]): { code: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...given], { encoding: 'utf8' })
  return { code: status, text: stdout + stderr }
}

test('stored schedules and eight seeds break no rule', () => {
  const { code, text } = simulate('--from', '1', '--seeds', '8')
  assert.equal(code, 0, text)
  assert.match(text, /8 seeds from 1: 0 broke a rule/)
})

test('a seed gives the same run each time, in another process too', () => {
  const hash = (): string | undefined => /hash \w+, \d+ events/.exec(simulate('--seed', '7').text)?.[0]
  const first = hash()
  assert.ok(first)
  assert.equal(hash(), first)
})

test('an answer before its fact is durable is found', () => {
  const { code, text } = simulate('--mutants', 'ack-before-durable', '--from', '1', '--seeds', '20')
  assert.equal(code, 0, text)
  assert.match(text, /ack-before-durable: found after \d+ seeds by S/)
})
