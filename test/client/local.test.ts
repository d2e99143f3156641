// Holds the cluster that `connect` starts by itself to its life: one line, tasks run, and nothing is left behind however the process ends.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const face = JSON.stringify(fileURLToPath(new URL('../../src/index.ts', import.meta.url)))

let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'local 数据 '))
  await writeFile(
    join(folder, 'app.ts'),
    `import { connect, task } from ${face}
     export const twice = task({ name: 'twice', cpus: 0.1, memory: '64mb', run: (x: number) => x * 2 })
     if (import.meta.main) {
       const cluster = await connect({ local: { workers: 1, cpus: 1 } })
       const { leader } = await cluster.status()
       console.log(JSON.stringify({ result: await cluster.run(twice, 21), pid: leader.pid, id: cluster.id }))
       if (process.argv[2] === 'close') await cluster.close()
       else if (process.argv[2] === 'exit') process.exit(7)
       else await new Promise(() => setInterval(() => undefined, 1000))
     }`,
  )
})

after(() => rm(folder, { recursive: true }))

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Runs the program until it has printed its line, then ends it as `how` says; gives that line and what was on stderr. */
async function app(how: 'close' | 'exit' | 'kill'): Promise<{ result: number; pid: number; errors: string; code: number | null }> {
  const { COX_URL: _url, ...env } = process.env
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'app.ts', how], {
    cwd: folder,
    env: { ...env, COX_HOME: join(folder, 'home') },
  })
  const ended = once(child, 'exit')
  let errors = ''
  child.stderr.on('data', text => {
    errors += String(text)
  })
  let said: { result: number; pid: number } | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    said = JSON.parse(line) as { result: number; pid: number }
    if (how === 'kill') child.kill('SIGKILL')
  }
  const [code] = (await ended) as [number | null]
  assert.ok(said, errors)
  return { ...said, errors, code }
}

/** Resolves when the process has ended. */
async function gone(pid: number): Promise<void> {
  while (alive(pid)) await new Promise(resolve => setImmediate(resolve))
}

describe('a cluster of its own', () => {
  test('is started, said in one line, used and closed', async () => {
    const { result, pid, errors, code } = await app('close')
    assert.equal(result, 42)
    assert.equal(code, 0)
    assert.match(errors, /^coxswain: no cluster is up[^\n]*\n$/)
    // `close` waited for it, and the state folder of a cluster that stays was not touched.
    assert.equal(alive(pid), false)
    assert.equal(existsSync(join(folder, 'home', 'cluster.json')), false)
  })

  test('ends with its process, however that ends', { timeout: 60_000 }, async () => {
    const ends = await Promise.all([app('exit'), app('kill')])
    assert.equal(ends[0].code, 7)
    for (const { result, pid } of ends) {
      assert.equal(result, 42)
      await gone(pid)
    }
  })
})
