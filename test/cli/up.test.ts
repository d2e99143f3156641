// Owns the tests of how `cox up` starts and ends: in every phase of its start, by signals, by its owner's end, by its own death.
// Must not leave a process behind: that is what it checks.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cox, processesOf, type RunningCox, startCox, temporaryHome, until } from './cox.ts'

const tasks = fileURLToPath(new URL('./fixtures/tasks.ts', import.meta.url))
const { folder, home, cleanUp } = temporaryHome('up')
after(cleanUp)

/** Phases of a start, as they can be seen from outside. */
const phases: Record<string, (running: RunningCox, at: string) => boolean> = {
  'when its process is there': running => running.child.pid !== undefined,
  'when the state folder is there': (_, at) => existsSync(at),
  'when the folder is held': (_, at) => existsSync(join(at, 'up.json')),
  'when the secrets are there': (_, at) => existsSync(join(at, 'tokens', 'node.sha256')),
  'when the first node process is there': (_, at) => processesOf(at).length >= 2,
  'when the journal is there': (_, at) => existsSync(join(at, 'journal')) && readdirSync(join(at, 'journal')).length > 0,
  'when the leader answers': (_, at) => existsSync(join(at, 'cluster.json')),
}

describe('cox up', () => {
  for (const [phase, reached] of Object.entries(phases)) {
    test(`Ctrl-C ${phase} leaves nothing behind`, async () => {
      const at = join(folder, phase.replaceAll(' ', '-'))
      const running = startCox(['up', '--workers', '1'], { home: at })
      await until(() => reached(running, at))
      running.child.kill('SIGINT')
      const ended = await running.ended
      // Before its handlers are there the system ends it; at the very end it may have been up already.
      assert.ok(ended.signal === 'SIGINT' || ended.code === 130 || (ended.code === 0 && /^up /.test(ended.stdout)), JSON.stringify(ended))
      assert.deepEqual(processesOf(at), [])
      for (const file of ['up.json', 'cluster.json']) assert.equal(existsSync(join(at, file)), false)
    })
  }

  test('Ctrl-C while --detach waits leaves nothing behind', async () => {
    const at = join(folder, 'detach-interrupted')
    const running = startCox(['up', '--workers', '1', '--detach'], { home: at })
    await until(() => existsSync(join(at, 'up.json')))
    running.child.kill('SIGINT')
    assert.equal((await running.ended).code, 130)
    assert.deepEqual(processesOf(at), [])
  })

  test('in the foreground it says what its user needs, and Ctrl-C ends it with 0', async () => {
    const running = startCox(['up', '--workers', '1', '--executors', '2', '--memory', '1gb'], { home })
    await running.wrote(/stop it/)
    const lines = running.stdout.split('\n')
    assert.match(lines[0]!, /^up ws:\/\/127\.0\.0\.1:\d+, 1 worker \(2 cpus, 1\.0 GiB\), state in .*state$/)
    assert.match(lines[1]!, /cox run FILE#TASK/)
    assert.match(lines[2]!, /Ctrl-C.*cox down/)
    running.child.kill('SIGINT')
    const ended = await running.ended
    assert.equal(ended.code, 0)
    assert.match(ended.stderr, /Ctrl-C again forces/)
    assert.deepEqual(processesOf(home), [])
  })

  test('a second start on the same folder finds the journal of the first', async () => {
    const up = await cox(['up', '--workers', '1', '--detach', '--json'], { home, stdin: '' })
    const { epoch } = JSON.parse(up.stdout) as { epoch: number }
    assert.equal(epoch, 2)
    assert.equal((await cox(['down', '--force'], { home, stdin: '' })).code, 0)
    assert.deepEqual(processesOf(home), [])
  })

  test('node processes end when their supervisor is killed', async () => {
    const running = startCox(['up', '--workers', '1'], { home })
    await running.wrote(/stop it/)
    const pids = processesOf(home)
    assert.ok(pids.length >= 3)
    running.child.kill('SIGKILL')
    await running.ended
    await until(() => processesOf(home).length === 0)
    // What it left is no obstacle.
    assert.equal(existsSync(join(home, 'up.json')), true)
    assert.equal((await cox(['up', '--workers', '1', '--detach'], { home, stdin: '' })).code, 0)
    assert.equal((await cox(['down'], { home, stdin: '' })).code, 0)
  })

  test('up right after its supervisor was killed waits for what is still ending', async () => {
    const running = startCox(['up', '--workers', '1'], { home })
    await running.wrote(/stop it/)
    running.child.kill('SIGKILL')
    const up = await cox(['up', '--workers', '1', '--detach', '--json'], { home, stdin: '' })
    assert.equal(up.code, 0, JSON.stringify(up))
    const { nodes } = JSON.parse(readFileSync(join(home, 'up.json'), 'utf8')) as { nodes: { pid: number }[] }
    const living = processesOf(home)
    assert.equal(nodes.length, 3)
    // The supervisor and its nodes: nothing of the one before.
    assert.equal(living.length, 4, JSON.stringify(living))
    assert.equal((await cox(['down'], { home, stdin: '' })).code, 0)
    assert.deepEqual(processesOf(home), [])
  })

  test('a second Ctrl-C ends it at once, also over a task that does not listen', async () => {
    const running = startCox(['up', '--workers', '1', '--drain', '10m'], { home })
    await running.wrote(/stop it/)
    assert.equal((await cox(['submit', `${tasks}#deaf`, '--id', 'deaf-1'], { home, stdin: '' })).code, 0)
    const following = startCox(['logs', 'deaf-1', '-f'], { home })
    await following.wrote(/deaf/)
    running.child.kill('SIGINT')
    await running.wrote(/Ctrl-C again forces/)
    running.child.kill('SIGINT')
    assert.equal((await running.ended).code, 0)
    following.child.kill('SIGKILL')
    await following.ended
    await until(() => processesOf(home).length === 0)
  })

  test('its reader may go away', async () => {
    const running = startCox(['up', '--workers', '1'], { home, closeStdout: true })
    await until(() => existsSync(join(home, 'cluster.json')))
    const status = await cox(['status', '--json'], { home, stdin: '' })
    assert.equal(status.code, 0, JSON.stringify(status))
    running.child.kill('SIGINT')
    assert.equal((await running.ended).code === 0 || (await running.ended).code === 130, true)
    assert.deepEqual(processesOf(home), [])
  })

  test('an ephemeral cluster ends with the stdin of its owner and leaves no folder', async () => {
    const at = join(folder, 'ephemeral')
    const running = startCox(['up', '--ephemeral', '--workers', '1'], { home: at })
    await running.wrote(/\n/)
    const ready = JSON.parse(running.stdout) as { ready: boolean; home: string }
    assert.deepEqual([ready.ready, ready.home], [true, at])
    // Ctrl-C is for the program that owns it.
    running.child.kill('SIGINT')
    assert.equal((await cox(['status', '--json'], { home: at, stdin: '' })).code, 0)
    running.child.stdin!.end()
    assert.equal((await running.ended).code, 0)
    assert.deepEqual(processesOf(at), [])
    assert.equal(existsSync(at), false)
  })

  test('run without a cluster starts one for itself, says so, and leaves nothing', async () => {
    const at = { home: join(folder, 'none'), stdin: '', env: { TMPDIR: folder } }
    const result = await cox(['run', `${tasks}#greet`, '--input', '"you"'], at)
    assert.deepEqual([result.code, result.stdout], [0, '"hello you"\n'], result.stderr)
    assert.match(result.stderr, /^coxswain: no cluster is up/)
    await until(() => processesOf(folder).length === 0)
    const running = startCox(['run', `${tasks}#endless`, '--input', '"x"'], { home: at.home, env: at.env })
    await running.wrote(/started x/)
    running.child.kill('SIGINT')
    assert.equal((await running.ended).code, 130)
    await until(() => processesOf(folder).length === 0)
    assert.deepEqual(
      readdirSync(folder).filter(name => name.startsWith('cox-')),
      [],
    )
  })

  test('an ephemeral cluster is not put where something is', async () => {
    const refused = await cox(['up', '--ephemeral', '--json'], { home: folder, stdin: '' })
    assert.equal(refused.code, 2)
    assert.match(refused.stdout, /is not empty/)
  })

  test('a state folder that is a file is refused', async () => {
    const file = join(folder, 'file')
    writeFileSync(file, 'mine')
    for (const args of [['up'], ['up', '--detach']]) {
      const refused = await cox([...args, '--json'], { home: file, stdin: '' })
      assert.equal(refused.code, 4)
      assert.equal((JSON.parse(refused.stdout) as { error: { code: string } }).error.code, 'STATE_FOLDER_UNUSABLE')
    }
    assert.equal(readFileSync(file, 'utf8'), 'mine')
  })

  test('a worker that is killed comes back', async () => {
    const running = startCox(['up', '--workers', '1', '--json'], { home })
    await running.wrote(/"ready":true/)
    const { nodes } = JSON.parse(readFileSync(join(home, 'up.json'), 'utf8')) as { nodes: { name: string; pid: number }[] }
    process.kill(nodes.find(node => node.name === 'worker-1')!.pid, 'SIGKILL')
    await running.wrote(/worker-1 died \(killed by SIGKILL\); it starts again in 100 ms/)
    await running.wrote(/worker-1 is ready again/)
    running.child.kill('SIGTERM')
    assert.equal((await running.ended).code, 0)
    assert.deepEqual(processesOf(home), [])
  })
})
