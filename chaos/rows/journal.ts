// Owns the rows that need no cluster: a journal's writer killed at each I/O point, and each byte of a journal changed.
// Must not count what did not happen.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { killAtEachPoint } from '../journal-kills.ts'
import { losePowerApart } from '../power/loss.ts'
import type { Row, RowOutcome } from '../row.ts'
import { straceMissing, straceWorks } from '../strace.ts'

/** Of all points this part may be missed, because threads do not meet in the same order every time. */
const missedPartMax = 0.1
const shortStep = 16

/** A leader killed at each I/O point of its journal. */
async function journalKills(short: boolean): Promise<RowOutcome> {
  const { points, killed, notReached, acknowledged, problems, notes } = await killAtEachPoint(short ? shortStep : 1)
  for (const line of notes) process.stdout.write(`${line}\n`)
  if (notReached > points * missedPartMax) problems.push(`${notReached} of ${points} I/O points were not reached`)
  const told = `${points} I/O points, ${killed} kills, ${notReached} not reached, ${acknowledged} acknowledgements checked`
  return { fired: killed, problems, told }
}

/** The parts of the damage test, which do not need each other. */
const damageParts = ['^a changed byte (?!after)', "^a record's torn tail", '^a changed byte after kill']

/** The short set tries one byte of so many, from another one on each time. */
const shortBytes = 16

/** Runs one part of the damage test; gives what it printed, and whether it ran and passed. */
async function damagePart(pattern: string, every: number, from: number): Promise<{ output: string; ok: boolean }> {
  const test = fileURLToPath(new URL('../../test/journal/damage.test.ts', import.meta.url))
  const { NODE_TEST_CONTEXT: _context, ...inherited } = process.env
  const environment = { ...inherited, COX_DAMAGE_EVERY: String(every), COX_DAMAGE_FROM: String(from) }
  const args = ['--test', '--test-reporter=spec', `--test-name-pattern=${pattern}`, test]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: environment })
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit') as Promise<[number | null]>])
  return { output, ok: code === 0 && /^. pass [1-9]/m.test(output) }
}

/** Each byte of a journal changed, each record's tail torn, or a part of them; the parts side by side. */
export async function journalDamage(short: boolean): Promise<RowOutcome> {
  const every = short ? shortBytes : 1
  const from = Math.floor(Math.random() * every)
  const parts = await Promise.all(damageParts.map(pattern => damagePart(pattern, every, from)))
  for (const { output } of parts) process.stdout.write(output)
  const problems = damageParts.filter((_, at) => !parts[at]!.ok).map(pattern => `test/journal/damage.test.ts failed: ${pattern}`)
  return { fired: 1, problems, told: short ? `one byte of ${every}, from byte ${from} on` : 'every byte' }
}

const seedMax = 2 ** 31

/** Disks as a power loss may leave them, each led on from. */
async function powerLoss(losses: number): Promise<RowOutcome> {
  if (!straceWorks()) return { fired: 0, problems: [], told: '', skipped: straceMissing }
  const seed = Math.floor(Math.random() * seedMax)
  const { acts, syncs, images, lossy, acknowledged, problems } = await losePowerApart(losses, seed)
  const told = `${images} disks (${lossy} had lost something), ${acts} acts with ${syncs} syncs, ${acknowledged} acknowledgements checked, seed ${seed}`
  return { fired: lossy, problems, told }
}

/** Rows 2 and 56. */
export const journalRows: readonly Row[] = [
  {
    name: 'journal-kills',
    numbers: [2],
    fault:
      'SIGKILL of a leader at each I/O point of its journal (strace; where that is missing, behind each acknowledgement, said in the output)',
    holds: 'everything acknowledged is there, the next one leads',
    ci: 1,
    rounds: 1,
    run: ({ short }) => journalKills(short),
  },
  {
    name: 'power-loss',
    numbers: [56],
    fault:
      "a leader's writes and syncs are traced (strace), and disks rebuilt as a power loss at each act may leave them: of what was not synced any 512-byte sectors and any names",
    holds: 'everything acknowledged by then is there, the journal is sound, the next one leads',
    ci: 150,
    rounds: 1200,
    run: ({ rounds }) => powerLoss(rounds),
  },
]
