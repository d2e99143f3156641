// Owns the kills of a leader at each of its journal's I/O points, and the look afterwards: everything acknowledged is there, and the next one leads.
// Must not call a run good in which the kill did not happen.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openSqliteStore, verifyStore } from '../src/journal/index.ts'

/** The system calls by which a journal's files are changed. The kill comes on entry: the call before it was done, this one was not. */
const calls = ['pwrite64', 'pwritev', 'writev', 'fsync', 'fdatasync', 'ftruncate', 'rename', 'unlink']
const runsAtOnce = 2
const writer = fileURLToPath(new URL('./journal-writer.ts', import.meta.url))

/** What came of all kills. */
export interface KillReport {
  points: number
  killed: number
  notReached: number
  acknowledged: number
  /** What was not as it had to be, each with its point. */
  problems: string[]
  /** What the operator should know. */
  notes: string[]
}

interface Run {
  lines: string[]
  killed: boolean
}

function runWriter(folder: string, command: readonly string[], killAfterLines = Number.POSITIVE_INFINITY): Promise<Run> {
  const [program, ...args] = [...command, process.execPath, writer, folder]
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
    if (text.split('\n').length > killAfterLines) child.kill('SIGKILL')
  })
  // The last line may have been cut off by the kill.
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ lines: text.split('\n').slice(0, -1), killed: signal === 'SIGKILL' || code === 137 }))
  })
}

/** How often each call is made by the thread that makes it most: strace counts per thread. */
function pointsOf(trace: string): { call: string; number: number }[] {
  const counts = new Map<string, number>()
  for (const [, thread, call] of trace.matchAll(/^(\d+) +(\w+)\(/gm)) {
    const key = `${thread} ${call}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return calls.flatMap(call => {
    const most = Math.max(0, ...[...counts].filter(([key]) => key.endsWith(` ${call}`)).map(([, count]) => count))
    return Array.from({ length: most }, (_, i) => ({ call, number: i + 1 }))
  })
}

/** Looks at what a killed leader left, then leads on from there. */
export async function look(folder: string, lines: readonly string[]): Promise<string[]> {
  const problems: string[] = []
  const store = await openSqliteStore({ folder })
  try {
    const { problems: found, lastIndex, firstIndex } = await verifyStore(store)
    problems.push(...found)
    const snapshot = await store.snapshots.latest()
    const kept = new Map((await store.journal.read(1, 1000)).map(row => [row.firstIndex, row]))
    for (const line of lines) {
      const [word, number, bytes] = line.split(' ') as [string, string, string | undefined]
      const value = Number(number)
      if (word === 'row') {
        const row = kept.get(value)
        const there =
          row === undefined ? value < firstIndex && (snapshot?.index ?? 0) >= value : row.records.every(one => one === value % 251)
        if (!there) problems.push(`row ${value} was acknowledged and is not there`)
      } else if (word === 'payload') {
        const payload = await store.journal.payload(value)
        if (payload === undefined || !Buffer.alloc(Number(bytes), value % 251).equals(payload))
          problems.push(`payload ${value} was acknowledged and is not there`)
      } else if (word === 'snapshot' && (snapshot?.index ?? 0) < value) problems.push(`snapshot ${value} was acknowledged and is not there`)
    }
    if (snapshot !== undefined && !snapshot.state.every(one => one === snapshot.index % 251))
      problems.push('the snapshot is of another state')
    const { epoch } = await store.leadership.view()
    const append = { epoch: epoch + 1, firstIndex: lastIndex + 1, count: 1, records: Buffer.from('next'), payloads: [], drops: [] }
    const claim = { seenEpoch: epoch, leader: 'next', pid: process.pid, processStart: '', address: '', opening: append }
    const claimed = await store.leadership.claim(claim)
    const appended = await store.journal.append({ ...append, firstIndex: lastIndex + 2 })
    if (claimed !== 'claimed' || appended !== 'durable') problems.push(`the next leader: ${claimed}, ${appended}`)
  } finally {
    await store.close()
  }
  return problems
}

async function inFolder<T>(work: (folder: string, base: string) => Promise<T>): Promise<T> {
  const base = mkdtempSync(join(tmpdir(), 'cox-chaos-'))
  try {
    return await work(join(base, 'journal'), base)
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
}

interface Point {
  name: string
  run(folder: string): Promise<Run>
}

/** Every I/O point of the writer, by strace; where strace is missing, a kill behind each acknowledgement, which is not the same. */
async function points(notes: string[]): Promise<Point[]> {
  const usable = spawnSync('strace', ['-o', '/dev/null', process.execPath, '--version']).status === 0
  if (!usable) {
    notes.push('strace is not there or may not trace: the leader is killed behind each acknowledgement instead of at each I/O point.')
    const { lines } = await inFolder(folder => runWriter(folder, []))
    return lines.slice(0, -1).map((line, i) => ({ name: `behind "${line}"`, run: folder => runWriter(folder, [], i + 1) }))
  }
  const trace = await inFolder(async (folder, base) => {
    const path = join(base, 'trace')
    await runWriter(folder, ['strace', '-f', '-qq', '-o', path, '-e', `trace=${calls.join(',')}`])
    return readFileSync(path, 'utf8')
  })
  return pointsOf(trace).map(({ call, number }) => ({
    name: `${call} ${number}`,
    run: folder =>
      runWriter(folder, [
        'strace',
        '-f',
        '-qq',
        '-o',
        '/dev/null',
        '-e',
        `trace=${call}`,
        '-e',
        `inject=${call}:signal=SIGKILL:when=${number}`,
      ]),
  }))
}

/** Kills a leader at each I/O point, or at every `step`th, and looks at what is left. */
export async function killAtEachPoint(step: number): Promise<KillReport> {
  const report: KillReport = { points: 0, killed: 0, notReached: 0, acknowledged: 0, problems: [], notes: [] }
  const all = (await points(report.notes)).filter((_, i) => i % step === 0)
  report.points = all.length
  const take = async (): Promise<void> => {
    for (let point = all.shift(); point !== undefined; point = all.shift()) {
      const { name, run } = point
      await inFolder(async folder => {
        const { lines, killed } = await run(folder)
        if (killed) report.killed++
        else report.notReached++
        report.acknowledged += lines.length
        const problems = await look(folder, lines).catch((error: unknown) => [String(error)])
        report.problems.push(...problems.map(problem => `killed at ${name}: ${problem}`))
      })
    }
  }
  await Promise.all(Array.from({ length: runsAtOnce }, take))
  return report
}
