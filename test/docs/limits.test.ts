// Shows that the table of limits in docs/operations.md says what the code says: each row names a constant, its file and its value.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

const root = new URL('../../', import.meta.url)
const text = (path: string): string => readFileSync(new URL(path, root), 'utf8')

const factors: Record<string, number> = {
  '': 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  ms: 1,
  s: 1000,
  h: 3_600_000,
  d: 86_400_000,
}

/** `1,000`, `64 KiB`, `3 s` as a number: of bytes, of milliseconds, or as it is. */
function amount(words: string): number {
  const match = /^([\d,.]+) ?(\w*)$/.exec(words)
  const factor = match ? factors[match[2]!] : undefined
  assert.ok(match && factor !== undefined, `${words} is no amount`)
  return Number(match[1]!.replaceAll(',', '')) * factor
}

/** The number that a constant or a field has in a source file, from literals and arithmetic only. */
function inCode(name: string, path: string): number {
  const found = new RegExp(`\\b${name}(?:: \\w+)?\\s*[:=]\\s*([\\d_][\\d_ *+()<.]*)`).exec(text(path))?.[1]
  assert.ok(found, `${path} has no ${name}`)
  return evaluate(found.replaceAll('_', '').replaceAll(' ', ''))
}

/** `a<<b` and products of powers: all that limits are written with. */
function evaluate(expression: string): number {
  if (expression.includes('<<')) {
    const [left, right] = expression.split('<<')
    return evaluate(left!) * 2 ** evaluate(right!)
  }
  const powers = expression.replaceAll('**', '^').split('*')
  return powers
    .map(power =>
      power
        .split('^')
        .map(Number)
        .reduceRight((exponent, base) => base ** exponent),
    )
    .reduce((a, b) => a * b)
}

const rows = text('docs/operations.md')
  .split('\n')
  .map(line => /^\|.*\| ([^|]+) \| `(\w+)` in `([\w./-]+)` \|$/.exec(line))
  .filter(match => match !== null)

describe('the limits in docs/operations.md', () => {
  it('are a table of many rows', () => assert.ok(rows.length > 50, `${rows.length} rows were found`))

  for (const [, value, name, path] of rows) {
    it(`${name} of ${path} is ${value}`, () => assert.equal(inCode(name!, path!), amount(value!)))
  }
})
