// `cox cluster init`, `cox join` and `cox node` as their user meets them; what they do over a network is in enrol.test.ts and joined.test.ts.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it } from 'node:test'
import { parseJoinToken } from '../../src/cli/authority/token.ts'
import { cox } from './cox.ts'

const root = mkdtempSync(join(tmpdir(), 'cox-verbs-'))
after(() => rmSync(root, { recursive: true, force: true }))

it('a cluster is founded once, and its token is one word that can be joined with', async () => {
  const home = join(root, 'first')
  const made = await cox(['cluster', 'init', '--advertise', 'cox1.example:4700', '--role', 'candidate', '--uses', '2', '--name', 'c1'], {
    home,
  })
  assert.equal(made.code, 0, made.stderr)
  const word = /^ {2}cox join (coxj_[\w-]+)$/m.exec(made.stdout)?.[1]
  assert(word)
  const { candidates, role } = parseJoinToken(word)
  assert.deepEqual([candidates, role], [['cox1.example:4700'], 'candidate'])
  const folder = join(home, 'node')
  for (const file of readdirSync(folder)) assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600, file)
  const again = await cox(['cluster', 'init', '--advertise', 'cox1.example:4700'], { home })
  assert.equal(again.code, 4)
  assert.match(again.stderr, /ALREADY_ENROLLED: This state folder is node c1 of cluster/)
  for (const advertise of ['cox1', 'http://cox1/x', 'cox1:99999999'])
    assert.equal((await cox(['cluster', 'init', '--advertise', advertise], { home: join(root, 'bad') })).code, 2, advertise)
})

it('a token that is none is refused without being printed', async () => {
  const home = join(root, 'joins')
  const word = 'coxj_WyJzZWNyZXQiXQabcdefgh'
  const file = join(root, 'token')
  writeFileSync(file, `${word}\n`)
  for (const args of [[word], ['--token-file', file], [word.slice(0, 12)]]) {
    const joined = await cox(['join', ...args], { home })
    assert.equal(joined.code, 2, joined.stderr)
    assert.match(joined.stderr, /JOIN_TOKEN_MALFORMED/)
    assert(!`${joined.stdout}${joined.stderr}`.includes('WyJzZWNy'))
  }
  for (const args of [[], [word, '--token-file', file], [word, '--role', 'admin']])
    assert.equal((await cox(['join', ...args], { home })).code, 2)
  const none = await cox(['node', 'list'], { home })
  assert.equal(none.code, 3, 'it is a verb, and there is no cluster')
})
