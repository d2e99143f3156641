// Shows that 20,000 mutants of frames and requests crash nothing; `npm run fuzz` sends more, of any seed.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { mutant, numbers } from '../../fuzz/mutate.ts'

const main = fileURLToPath(new URL('../../fuzz/main.ts', import.meta.url))

test('20,000 mutants: no crash, no unhandled rejection, bounded memory', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [main, '--cases', '20000', '--seed', '20261127'])
  assert.match(
    stdout,
    /^decoders: \d{3,} read, \d{4,} refused with a typed error\nsockets: \d{2,} requests, \d{3} connections with frames, /,
  )
  assert.match(stdout, /20000 cases of seed 20261127: 0 crashes, 0 unhandled rejections/)
})

test('mutants are the same for the same seed, and others for another', () => {
  const corpus = [Buffer.from('one frame'), Buffer.from('another one')]
  const of = (seed: number): string[] => {
    const next = numbers(seed)
    return Array.from({ length: 200 }, () => mutant(corpus, next).toString('hex'))
  }
  assert.deepEqual(of(7), of(7))
  assert.notDeepEqual(of(7), of(8))
})
