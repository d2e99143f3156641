// Owns the tests of what the CLI's text looks like: widths, escapes, tables, amounts.
// Must not start processes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tableLines } from '../../src/cli/output/table.ts'
import { bytesText, countText, displayWidth, durationText, fit, harmless, harmlessLines } from '../../src/cli/output/text.ts'

test('a character of a CJK script and an emoji take two columns, a combining mark none', () => {
  assert.equal(displayWidth('abc'), 3)
  assert.equal(displayWidth('数据'), 4)
  assert.equal(displayWidth('한국어'), 6)
  assert.equal(displayWidth('カタカナ'), 8)
  assert.equal(displayWidth('e\u0301'), 1)
  assert.equal(displayWidth('🚣'), 2)
  assert.equal(displayWidth('é'), 1)
})

test('columns stay aligned with CJK text in them', () => {
  const lines = tableLines(
    [
      { title: 'NAME', text: (row: [string, number]) => row[0] },
      { title: 'N', align: 'right', text: (row: [string, number]) => String(row[1]) },
    ],
    [
      ['数据处理', 7],
      ['plain', 12345],
    ],
  )
  const widths = lines.map(displayWidth)
  assert.deepEqual(widths, [widths[0], widths[0], widths[0]])
  assert.equal(lines[1], '数据处理      7')
})

test('control characters cannot drive the terminal', () => {
  assert.equal(harmless('a\x1b[31mred\r\n\u202eevil\u0000'), 'a\\x1b[31mred\\r\\n\\u202eevil\\x00')
  assert.equal(harmlessLines('one\n\ttwo\x07'), 'one\n\ttwo\\x07')
  assert.equal(harmless('数据 é 🚣'), '数据 é 🚣')
  const [, line] = tableLines([{ title: 'T', text: (text: string) => text }], ['x\x1b]0;title\x07'])
  assert.equal(line, 'x\\x1b]0;title\\x07')
})

test('a text is cut to columns, not to characters', () => {
  assert.equal(fit('short', 10), 'short')
  assert.equal(fit('abcdefghij', 5), 'abcd…')
  assert.equal(fit('数据处理', 5), '数据…')
  assert.equal(displayWidth(fit('数据处理', 4)) <= 4, true)
})

test('amounts for people', () => {
  assert.equal(bytesText(0), '0 B')
  assert.equal(bytesText(1536), '1.5 KiB')
  assert.equal(bytesText(200 * 2 ** 20), '200 MiB')
  assert.equal(durationText(12.4), '12 ms')
  assert.equal(durationText(61_000), '1 min 1 s')
  assert.equal(durationText(2 * 3_600_000 + 5 * 60_000), '2 h 5 min')
})

test('thousands are marked', () => {
  const texts = ['0', '999', '1,000', '12,345', '123,456', '1,234,567', '-1,234', '-123']
  assert.deepEqual([0, 999, 1000, 12_345, 123_456, 1_234_567, -1234, -123].map(countText), texts)
})
