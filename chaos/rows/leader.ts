// Owns the rows in which a leader is killed, stopped or blocked while everything else goes on.
// Must not leave a process stopped.
import { alive } from '../../test/faults/harness.ts'
import type { Row } from '../row.ts'
import { type ChaosRun, pauseMs, processState, underFaults } from '../run.ts'
import { evaluateIn } from './inspector.ts'

/** A standby bears this much silence of its leader at least, and at most. */
const boundMinMs = 2000
const boundMaxMs = 3000
const shortStopMs = 1000
const blockedMs = 8000
const hundredMs = 100

async function killed(run: ChaosRun, rounds: number): Promise<void> {
  const workers = ['worker-1', 'worker-2'].map(name => run.cluster.pid(name))
  for (let round = 0; round < rounds; round++) {
    await run.standbys(2)
    const { id, pid, epoch } = await run.leader()
    await run.kill(pid, id)
    const next = await run.next(epoch)
    if (next.id === id) run.problem(`${id} leads again, and two stood by`)
    await run.load.more(3)
  }
  if (!workers.every(alive)) run.problem('a worker died with its leader')
}

/** A leader stands still for so long; what may come of it depends on that. */
async function stopped(run: ChaosRun, ms: number): Promise<void> {
  await run.standbys(2)
  const { id, pid, epoch } = await run.leader()
  await run.stop(pid, id)
  try {
    await pauseMs(ms)
    process.kill(pid, 'SIGCONT')
  } catch {
    // It was killed by who took over: there is nobody to resume.
  }
  await run.load.more(2)
  const now = await run.leader()
  if (ms < boundMinMs - hundredMs && now.epoch !== epoch) run.problem(`the leader was deposed for a pause of ${ms} ms`)
  if (now.epoch > epoch && alive(pid) && processState(pid) !== 'Z')
    run.problem(`epoch ${now.epoch} began while pid ${pid} of epoch ${epoch} lived`)
  if (now.epoch > epoch + 1) run.problem(`epochs ${epoch} to ${now.epoch} for one pause`)
}

async function frozen(run: ChaosRun, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await run.standbys(2)
    const { id, pid, epoch } = await run.leader()
    await run.stop(pid, id)
    await run.next(epoch)
    if (alive(pid)) {
      run.problem(`epoch ${epoch + 1} began while pid ${pid} lived`)
      process.kill(pid, 'SIGCONT')
    }
    await run.load.more(3)
  }
}

async function blocked(run: ChaosRun, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await run.standbys(1)
    const { id, pid, epoch } = await run.leader()
    const proof = await evaluateIn(pid, `const until = Date.now() + ${blockedMs}; while (Date.now() < until); "spun"`)
    run.fault('blocked', id, proof)
    await run.next(epoch)
    if (alive(pid)) run.problem(`epoch ${epoch + 1} began while pid ${pid}, blocked, lived`)
    await run.load.more(3)
  }
}

/** Rows 1, 3 and 5. */
export const leaderRows: readonly Row[] = [
  {
    name: 'leader-killed',
    numbers: [1],
    fault: 'SIGKILL of the leader under load, two standbys',
    holds: 'a standby leads, no call fails, nothing acknowledged is lost, workers live',
    ci: 5,
    rounds: 10,
    run: ({ rounds }) => underFaults('leader-killed', { againMax: 0 }, run => killed(run, rounds)),
  },
  {
    name: 'leader-frozen',
    numbers: [3],
    fault: 'SIGSTOP of the leader until another leads',
    holds: 'it is dead before the next epoch begins (kill to fence): there is nothing to resume, and it has no effect',
    ci: 1,
    rounds: 3,
    run: ({ rounds }) => underFaults('leader-frozen', { againMax: 0 }, run => frozen(run, rounds)),
  },
  {
    name: 'leader-paused',
    numbers: [3],
    fault: `SIGSTOP of the leader for ${shortStopMs} ms, then SIGCONT`,
    holds: 'the same leader leads on, no epoch begins',
    ci: 1,
    rounds: 3,
    run: ({ rounds }) =>
      underFaults('leader-paused', { againMax: 0 }, async run => {
        for (let round = 0; round < rounds; round++) await stopped(run, shortStopMs)
      }),
  },
  {
    name: 'leader-resumed',
    numbers: [3],
    fault: `SIGSTOP of the leader for ${boundMinMs - 2 * hundredMs} to ${boundMaxMs} ms, spread evenly, then SIGCONT: about when it is given up`,
    holds: 'it leads on, or it is dead before another leads; at most one epoch more',
    rounds: 8,
    run: ({ rounds }) =>
      underFaults('leader-resumed', { againMax: 0 }, async run => {
        const fromMs = boundMinMs - 2 * hundredMs
        for (let round = 0; round < rounds; round++) await stopped(run, fromMs + ((boundMaxMs - fromMs) * round) / Math.max(1, rounds - 1))
      }),
  },
  {
    name: 'leader-blocked',
    numbers: [5],
    fault: `the leader's event loop spins for ${blockedMs} ms, told to by Node's inspector (SIGUSR1)`,
    holds: 'as with a frozen leader',
    rounds: 2,
    run: ({ rounds }) => underFaults('leader-blocked', { againMax: 0 }, run => blocked(run, rounds)),
  },
]
