// Holds the table of docs/access.md to the table in the code. `node test/leader/access-docs.test.ts --print` prints what it must be.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { clientPolicy, type Rule, viewPolicy } from '../../src/leader/access/policy.ts'
import { userRoles } from '../../src/protocol/index.ts'

function rows(): string[] {
  const { ask: _, ...messages } = clientPolicy
  const views = Object.entries(viewPolicy).map(([view, rule]): [string, Rule] => [`ask ${view}`, rule])
  const all = [...Object.entries(messages), ...views]
  return userRoles.flatMap(role =>
    all
      .filter(([, rule]) => rule.role === role)
      .map(([name, { scope, changes }]) => `| \`${name}\` | ${role} | ${scope} | ${changes ? 'yes' : 'where denied'} |`),
  )
}

if (process.argv.includes('--print')) process.stdout.write(`${rows().join('\n')}\n`)
else
  it('docs/access.md has every call with what it needs, as the code has it', () => {
    const page = readFileSync(new URL('../../docs/access.md', import.meta.url), 'utf8')
    assert.deepEqual(
      page.split('\n').filter(line => /^\| `/.test(line)),
      rows(),
    )
  })
