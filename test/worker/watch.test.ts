// Owns the tests of how process groups are measured, with /proc and without it.
// Must not depend on what else runs on the machine.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { type GroupSample, GroupWatch } from '../../src/worker/executors/watch.ts'

function sample(watch: GroupWatch, group: number): Promise<GroupSample | undefined> {
  return new Promise(resolve => watch.sample(new Set([group]), samples => resolve(samples.get(group))))
}

for (const [name, procFolder] of [
  ['/proc', '/proc'],
  ['ps, where there is no /proc', '/no-such-folder'],
] as const) {
  test(`a group's processes and their memory are counted: ${name}`, async () => {
    const script = 'const held = Buffer.alloc(50 << 20, 1); process.stdout.write("ready"); setInterval(() => held, 1e6)'
    const child = spawn('/bin/sh', ['-c', '"$@"; exit $?', 'sh', process.execPath, '-e', script], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await once(child.stdout, 'data')
    const watch = new GroupWatch(procFolder)
    const found = await sample(watch, child.pid!)
    process.kill(-child.pid!, 'SIGKILL')
    assert.ok(found)
    assert.equal(found.processes, 2)
    assert.ok(found.rssBytes > 80 << 20 && found.rssBytes < 300 << 20, `${found.rssBytes} bytes`)
    // What has been killed may take a moment to end.
    while (await sample(watch, child.pid!)) await new Promise(resolve => setImmediate(resolve))
  })
}
