// Shows that the quick start is found in a README as HACKING.md says it is marked.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { quickStart } from './quick-start.ts'

it('takes files and commands from the marked blocks and from no others', () => {
  const fence = '```'
  const markdown = [
    '# x',
    `${fence}bash\nnot this\n${fence}`,
    `<!-- test: quick-start greet.ts -->\n${fence}ts\nexport const a = 1\n\nb()\n${fence}`,
    'Then:',
    `<!-- test: quick-start commands -->\n${fence}bash\nnpm install coxswain   # once\n# a comment\n\nnode greet.ts\n${fence}`,
  ].join('\n\n')
  assert.deepEqual(quickStart(markdown), {
    files: { 'greet.ts': 'export const a = 1\n\nb()\n' },
    commands: ['npm install coxswain   # once', 'node greet.ts'],
  })
})

it('finds nothing where nothing is marked', () => {
  assert.deepEqual(quickStart('# x\n\n```bash\nls\n```\n'), { files: {}, commands: [] })
})
