// Owns the rows in which the leader's disk fails, is slow, or the leader is stopped in the middle of a transaction.
// Must not touch a real disk: the system calls are made to fail.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { alive, until } from '../../test/faults/harness.ts'
import type { Row, RowOutcome } from '../row.ts'
import { type ChaosRun, processState, underFaults } from '../run.ts'
import { straceMissing, straceWorks, Tracer } from '../strace.ts'

const slowMs = 1500
/** True while another process holds the journal's write lock. */
function writeLocked(home: string): boolean {
  const database = new DatabaseSync(join(home, 'journal', 'journal.db'), { timeout: 0 })
  try {
    database.exec('BEGIN IMMEDIATE')
    database.exec('ROLLBACK')
    return false
  } catch (error) {
    return /locked|busy/.test(String(error))
  } finally {
    database.close()
  }
}

/** Stops the leader on its way into a sync; true if that was inside of a transaction. */
async function stopInSync(run: ChaosRun): Promise<boolean> {
  await run.standbys(2)
  const { id, pid, epoch } = await run.leader()
  const tracer = await Tracer.attach(pid, 'fsync', 'signal=SIGSTOP:when=3', run.folder)
  try {
    await tracer.proof(/SIGSTOP/)
    await until(`pid ${pid} is stopped`, () => ['T', 't'].includes(processState(pid)))
    const locked = writeLocked(run.cluster.home)
    if (locked) run.fault('stopped in a transaction', id, `pid ${pid} is in state ${processState(pid)}, and the write lock is held`)
    const next = await run.next(epoch)
    if (alive(pid)) run.problem(`epoch ${next.epoch} began while pid ${pid} was stopped, not dead`)
    return locked
  } finally {
    await tracer.detach()
  }
}

async function stoppedInTransaction(run: ChaosRun, rounds: number): Promise<void> {
  let fired = 0
  for (let round = 0; round < rounds * 3 && fired < rounds; round++) if (await stopInSync(run)) fired++
}

async function failingSync(run: ChaosRun, error: string, call: string, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await run.standbys(1)
    const { id, pid, epoch } = await run.leader()
    const tracer = await Tracer.attach(pid, call, `error=${error}:when=2+`, run.folder)
    try {
      run.fault(error, id, await tracer.proof(/\(INJECTED\)/))
      await until(`pid ${pid} ends`, () => !alive(pid))
      await run.next(epoch)
      await until('its log says why', () => /JOURNAL_WRITE_FAILED/.test(run.cluster.log(id)))
      await run.load.more(3)
    } finally {
      await tracer.detach()
    }
  }
}

async function slowSync(run: ChaosRun, rounds: number): Promise<void> {
  await run.standbys(2)
  const { id, pid, epoch } = await run.leader()
  const tracer = await Tracer.attach(pid, 'fsync', `delay_enter=${slowMs * 1000}`, run.folder)
  try {
    await run.load.more(rounds)
    for (const line of tracer.lines(/\(DELAYED\)/).slice(0, rounds)) run.fault('slow sync', id, line)
  } finally {
    await tracer.detach()
  }
  const now = await run.leader()
  if (now.epoch !== epoch) run.problem(`a slow disk deposed the leader of epoch ${epoch}: ${now.epoch} leads`)
}

/** By strace, or not at all. */
async function traced(name: string, faults: (run: ChaosRun) => Promise<void>): Promise<RowOutcome> {
  if (!straceWorks()) return { fired: 0, problems: [], told: '', skipped: straceMissing }
  return underFaults(name, { againMax: 0 }, faults)
}

/** Rows 4, 19, 21 and 22. */
export const storageRows: readonly Row[] = [
  {
    name: 'leader-in-transaction',
    numbers: [4],
    fault: 'SIGSTOP of the leader on entry of a sync inside of a SQLite transaction (strace), the write lock seen to be held',
    holds: 'it is killed by pid and start time, then another leads; the open transaction has no effect',
    ci: 1,
    rounds: 3,
    run: ({ rounds }) => traced('leader-in-transaction', run => stoppedInTransaction(run, rounds)),
  },
  {
    name: 'journal-full',
    numbers: [19],
    fault: "ENOSPC from each write to the leader's journal from one on (strace)",
    holds: 'the leader ends with JOURNAL_WRITE_FAILED, another leads, nothing acknowledged is lost',
    rounds: 2,
    run: ({ rounds }) => traced('journal-full', run => failingSync(run, 'ENOSPC', 'pwrite64', rounds)),
  },
  {
    name: 'sync-fails',
    numbers: [21],
    fault: "EIO from each sync of the leader's journal from one on (strace)",
    holds: 'as above',
    ci: 1,
    rounds: 3,
    run: ({ rounds }) => traced('sync-fails', run => failingSync(run, 'EIO', 'fsync', rounds)),
  },
  {
    name: 'sync-slow',
    numbers: [22],
    fault: `each sync of the leader takes ${slowMs} ms longer (strace)`,
    holds: 'calls wait and succeed, no other leads',
    rounds: 4,
    run: ({ rounds }) => traced('sync-slow', run => slowSync(run, rounds)),
  },
]
