// Owns the rows in which the way between leader, a worker and a client is bad: a worker and a client of their own go through a fault proxy.
// Must not disturb the cluster's other nodes: they show that nobody else is harmed.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../test/faults/harness.ts'
import { HandNode } from '../hand-node.ts'
import { Load } from '../load/load.ts'
import { type Done, FaultProxy, type Way } from '../proxy/proxy.ts'
import type { Row, RowOutcome } from '../row.ts'
import { type ChaosRun, pauseMs, type RunOptions, underFaults } from '../run.ts'

const farExecutors = 2
const delayMsMax = 120
const doubled = 0.25
const broken = 0.04
/** The highest bit of a frame's first byte: with it set, no message is of any kind that there is. */
const kindBit = 7
const cutMs = 400
const betweenMs = 150
const ways: readonly Way[] = ['up', 'down']

/** A cluster with a worker and a client at the far end of bad lines. */
interface Far {
  run: ChaosRun
  load: Load
  worker: FaultProxy
  client: FaultProxy
}

async function farAway(run: ChaosRun, disturbed: (far: Far) => Promise<void>): Promise<void> {
  const { home } = run.cluster
  const leader = (): string | undefined => {
    try {
      return (JSON.parse(readFileSync(join(home, 'cluster.json'), 'utf8')) as { address: string }).address
    } catch {
      return undefined
    }
  }
  await using worker = await FaultProxy.start(leader)
  await using client = await FaultProxy.start(leader)
  await using node = await HandNode.worker(home, 'far-worker', farExecutors, () => worker.address)
  await until('the far worker is there', async () =>
    (await run.cluster.client.workers()).some(one => one.id === 'far-worker' && one.state === 'ready'),
  )
  const far = await run.cluster.connect({ url: client.address, tokenFile: join(home, 'tokens', 'user'), name: 'far-client' })
  const load = new Load('far', far, run.clientTrace('far-client'), run.watcher, run.folder)
  load.start({ witnesses: 0 })
  await load.more(3)
  try {
    await disturbed({ run, load, worker, client })
  } finally {
    for (const proxy of [worker, client]) for (const way of ways) proxy.disturb(way, {})
    await load.stop(path => writeFileSync(path, ''))
  }
  if (node.said.includes('"level":"error"') && /UNAUTH|WRONG_CLUSTER/.test(node.said)) run.problem('the far worker was refused')
}

function told(done: Done): string {
  return Object.entries(done)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ')
}

/** Writes down what the proxies did, if they did it. */
function proved({ run, worker, client }: Far, kind: string, of: (done: Done) => number): void {
  for (const [name, proxy] of [['far-worker', worker] as const, ['far-client', client] as const])
    if (of(proxy.done) > 0) run.fault(kind, name, told(proxy.done))
}

async function delayed(far: Far, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const proxy of [far.worker, far.client]) for (const way of ways) proxy.disturb(way, { delayMs: [0, delayMsMax] })
    await far.load.more(5)
    const { pid, id, epoch } = await far.run.leader()
    await far.run.kill(pid, id)
    await far.run.next(epoch)
    await far.load.more(5)
  }
  proved(far, 'delayed', done => done.delayed)
}

/** Frames to the leader twice: who asks, and who reports, may do so again and again. */
async function twice(far: Far, rounds: number): Promise<void> {
  for (const proxy of [far.worker, far.client]) proxy.disturb('up', { duplicate: doubled })
  await far.load.more(rounds)
  proved(far, 'doubled', done => done.duplicated)
}

/** What is under way one way is lost, and then the connection. */
async function lost(far: Far, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const way = ways[round % 2]!
    for (const proxy of [far.worker, far.client]) proxy.disturb(way, { cut: true })
    await pauseMs(cutMs)
    for (const proxy of [far.worker, far.client]) {
      proxy.reset()
      proxy.disturb(way, {})
    }
    await far.load.more(3)
  }
  proved(far, 'cut one way, then reset', done => Math.min(done.cut, done.resets))
}

/** The client's connection breaks right behind a request: it cannot know what became of it. */
async function cutOff(far: Far, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const passed = Promise.withResolvers<void>()
    far.client.disturb('down', { cut: true })
    far.client.disturb('up', { passed: (piece, frame) => piece.kind === 'frame' && frame > 0 && passed.resolve() })
    await passed.promise
    far.client.reset()
    for (const way of ways) far.client.disturb(way, {})
    await far.load.more(1)
  }
  proved(far, 'reset behind a request', done => done.resets)
}

async function malformed(far: Far, rounds: number): Promise<void> {
  const { pid, epoch } = await far.run.leader()
  for (let round = 0; round < rounds; round++) {
    for (const proxy of [far.worker, far.client]) for (const way of ways) proxy.disturb(way, { flip: broken, flipBit: kindBit })
    await until('frames were broken', () => far.worker.done.flipped > round && far.client.done.flipped > round)
    for (const proxy of [far.worker, far.client]) for (const way of ways) proxy.disturb(way, {})
    await pauseMs(betweenMs)
    await far.load.more(2)
  }
  const now = await far.run.leader()
  if (now.pid !== pid || now.epoch !== epoch) far.run.problem('a broken frame cost the leader its leadership')
  proved(far, 'a bit flipped', done => done.flipped)
}

function far(
  name: string,
  options: RunOptions,
  disturbed: (far: Far, rounds: number) => Promise<void>,
  rounds: number,
): Promise<RowOutcome> {
  return underFaults(name, options, run => farAway(run, one => disturbed(one, rounds)))
}

/** Rows 42, 43 and 48, by a proxy. */
export const networkRows: readonly Row[] = [
  {
    name: 'messages-delayed',
    numbers: [42],
    fault: `each frame of a worker and of a client waits up to ${delayMsMax} ms, both ways; the leader is killed meanwhile`,
    holds: 'no call fails, one result of each task, the worker runs on',
    rounds: 2,
    run: ({ rounds }) => far('messages-delayed', {}, delayed, rounds),
  },
  {
    name: 'messages-doubled',
    numbers: [42],
    fault: `a quarter of the frames to the leader come twice (a TCP connection does not do that: it stands for what is sent again)`,
    holds: 'nothing is applied twice',
    rounds: 30,
    run: ({ rounds }) => far('messages-doubled', {}, twice, rounds),
  },
  {
    name: 'messages-lost',
    numbers: [42],
    fault: `cut one way for ${cutMs} ms, in turn to and from the leader, what was under way is lost; then RST`,
    holds: 'no call fails, nothing is lost or applied twice',
    rounds: 8,
    run: ({ rounds }) => far('messages-lost', {}, lost, rounds),
  },
  {
    name: 'client-cut-off',
    numbers: [43],
    fault: 'RST of the client right behind a request, its answer held back',
    holds: 'the same request id is the same job: one effect, and the call succeeds',
    ci: 6,
    rounds: 30,
    run: ({ rounds }) => far('client-cut-off', {}, cutOff, rounds),
  },
  {
    name: 'frames-broken',
    numbers: [48],
    fault: 'a bit of the first byte of a frame flips, both ways, worker and client',
    holds: 'only that connection ends, it dials again and no call fails; the leader leads on',
    rounds: 6,
    run: ({ rounds }) => far('frames-broken', {}, malformed, rounds),
  },
]
