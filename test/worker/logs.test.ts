// Owns the tests of what tasks print and log: kept per job, read back, followed while it is written.
// Must not depend on when lines arrive, only on their order.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { nodeClock } from '../../src/platform/node/index.ts'
import type { LogLine } from '../../src/protocol/index.ts'
import { LogStore } from '../../src/worker/logs/store.ts'
import { clipText } from '../../src/worker/text.ts'
import { plan, programOf, type Stand, stand } from './fakes.ts'

const tasks = programOf({
  talk: `async (input, ctx) => {
    console.log("printed", input)
    process.stdout.write("half ")
    process.stdout.write("a line\\n")
    console.error("to stderr")
    ctx.log("logged", { input })
    ctx.log.warn("careful")
    await 1
    process.stdout.write("no line end")
    return input
  }`,
  child: `async () => {
    const { execFileSync } = await import("node:child_process")
    execFileSync("sh", ["-c", "echo from a child; echo and its errors >&2"], { stdio: "inherit" })
  }`,
  shout: `async (input, ctx) => {
    for (let i = 0; i < 3; i++) { ctx.log("line", i, "of", input); await new Promise(r => setTimeout(r, 1)) }
  }`,
  progress: `async (_, ctx) => { ctx.progress(0.25, "a quarter"); ctx.progress(7); await new Promise(r => setTimeout(r, 250)) }`,
})

describe('lines of tasks', () => {
  let cluster: Stand
  let program: string

  before(async () => {
    cluster = await stand()
    program = cluster.leader.program(tasks)
  })
  after(() => cluster[Symbol.asyncDispose]())

  let requests = 100

  async function read(job: string, index?: number): Promise<LogLine[]> {
    const { leader } = cluster
    const request = ++requests
    leader.send({ kind: 'readLogs', request, job, stage: undefined, index, follow: false })
    const ended = (): boolean => leader.messages.some(one => one.kind === 'logLines' && one.request === request && one.ended)
    await leader.until(ended)
    return leader.messages.flatMap(one => (one.kind === 'logLines' && one.request === request ? one.lines : []))
  }

  test('what a task prints and logs is kept with its name, stream and attempt', async () => {
    const { leader } = cluster
    const lane = leader.assign(plan(program, 'talk'), ['a', 'b'], { job: 'talking', first: 3, attempt: 2 })
    await leader.ended(lane, 2)
    const lines = await read('talking', 4)
    assert.deepEqual(
      lines.map(line => [line.stream, line.text]),
      [
        ['out', 'printed b'],
        ['out', 'half a line'],
        ['err', 'to stderr'],
        ['log', 'logged {"input":"b"}'],
        ['log', '[warn] careful'],
        ['out', 'no line end'],
      ],
    )
    for (const line of lines) assert.deepEqual([line.job, line.stage, line.index, line.attempt], ['talking', 0, 4, 2])
    assert.equal((await read('talking')).length, 12)
    assert.deepEqual(await read('unknown'), [])
  })

  test('what a child process prints is kept too', async () => {
    const { leader } = cluster
    await leader.ended(leader.assign(plan(program, 'child'), [0], { job: 'childish' }), 1)
    // It comes by another way than the results do, so it may come after them.
    let texts: string[] = []
    while (texts.length < 2) texts = (await read('childish')).map(line => line.text)
    assert.deepEqual(texts.sort(), ['and its errors', 'from a child'])
  })

  test('lines are followed: first those that are there, then those that come, until that is enough', async () => {
    const { leader } = cluster
    await leader.ended(leader.assign(plan(program, 'shout'), [1], { job: 'loud' }), 1)
    leader.send({ kind: 'readLogs', request: 1, job: 'loud', stage: 0, index: undefined, follow: true })
    const followed = (): string[] =>
      leader.messages.flatMap(one => (one.kind === 'logLines' && one.request === 1 ? one.lines.map(line => line.text) : []))
    await leader.until(() => followed().length === 3)
    await leader.ended(leader.assign(plan(program, 'shout'), [2], { job: 'loud' }), 1)
    await leader.until(() => followed().length === 6)
    const expected = [1, 2].flatMap(input => [0, 1, 2].map(i => `line ${i} of ${input}`))
    assert.deepEqual(followed(), expected)
    leader.send({ kind: 'unfollow', request: 1 })
    await leader.ended(leader.assign(plan(program, 'shout'), [3], { job: 'loud' }), 1)
    assert.equal((await read('loud')).length, 9)
    assert.deepEqual(followed(), expected)
  })

  test('progress is told, within its bounds, the latest word last', async () => {
    const { leader } = cluster
    await leader.ended(leader.assign(plan(program, 'progress'), [0], { job: 'slow' }), 1)
    const told = leader.messages.flatMap(one => (one.kind === 'progress' ? [[one.job, one.index, one.fraction, one.note]] : []))
    assert.deepEqual(told, [
      ['slow', 0, 0.25, 'a quarter'],
      ['slow', 0, 1, ''],
    ])
  })
})

test('the store keeps lines over its own life, and reads only what is asked', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cox-logs-'))
  const line = (index: number, text: string): LogLine => ({ job: 'j/1', stage: 0, index, attempt: 1, stream: 'out', atMs: 5, text })
  const first = new LogStore(folder, nodeClock)
  await first.open()
  first.append([line(1, 'one'), line(2, 'two')])
  await first.close()
  const second = new LogStore(folder, nodeClock)
  await second.open()
  second.append([line(1, 'three')])
  const read = async (index?: number): Promise<string[]> => {
    const texts: string[] = []
    for await (const batch of second.read('j/1', undefined, index, 1)) texts.push(...batch.map(one => one.text))
    return texts
  }
  assert.deepEqual(await read(), ['one', 'two', 'three'])
  assert.deepEqual(await read(2), ['two'])
  rmSync(folder, { recursive: true })
})

test('text is cut at the border of a character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, bytesMax) => {
      const cut = clipText(text, bytesMax)
      assert.ok(Buffer.byteLength(cut) <= bytesMax)
      assert.ok(cut.isWellFormed())
      assert.ok(text.toWellFormed().startsWith(cut))
      const next = [...text.toWellFormed().slice(cut.length)][0]
      assert.ok(next === undefined || Buffer.byteLength(cut + next) > bytesMax, 'no more was cut than had to be')
    }),
  )
})
