// Owns the rows that a test with real processes makes already: they are run by the test's name, and void if it was skipped.
// Must not name a test that does not make the fault of its row.
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Row, RowOutcome } from '../row.ts'
import { journalDamage } from './journal.ts'

/** Runs one test file, or the tests in it whose name matches. */
async function tested(file: string, pattern?: string): Promise<RowOutcome> {
  const path = fileURLToPath(new URL(`../../test/${file}`, import.meta.url))
  const args = ['--test', '--test-reporter=tap', ...(pattern === undefined ? [] : [`--test-name-pattern=${pattern}`]), path]
  const environment = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => name !== 'NODE_TEST_CONTEXT' && name !== 'COX_HOME'),
  )
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: environment })
  const output = await text(child.stdout)
  const count = (name: string): number => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(output)?.[1] ?? 0)
  const [passed, failed, skipped] = [count('pass'), count('fail') + count('cancelled'), count('skipped')]
  const problems = output.split('\n').filter(line => failed > 0 && /^\s*not ok /.test(line))
  const told = `${passed} tests of test/${file} passed`
  if (failed > 0 && problems.length === 0) problems.push(`${failed} tests of test/${file} failed`)
  if (skipped > 0) return { fired: 0, problems, told, skipped: /# SKIP (.*)/.exec(output)?.[1] ?? 'a test was skipped' }
  return { fired: passed, problems, told }
}

/** Rows 19, 23, 24, 33 to 38, 43, 44 and 57 as far as tests make them. */
export const testedRows: readonly Row[] = [
  {
    name: 'disk-full',
    numbers: [19],
    fault: 'a tmpfs that fills up under a running cluster (test/faults/bad-state.test.ts)',
    holds: 'refused in words, nothing acknowledged is lost, it goes on when there is room',
    rounds: 1,
    run: () => tested('faults/bad-state.test.ts', 'fills up under a running cluster'),
  },
  {
    name: 'corrupt-at-start',
    numbers: [24],
    fault: 'one byte of a row changed before `cox up` (test/faults/bad-state.test.ts)',
    holds: 'the start is refused, the record is named, no file changes',
    rounds: 1,
    run: () => tested('faults/bad-state.test.ts', 'with one changed byte'),
  },
  {
    name: 'journal-damage',
    numbers: [23, 24],
    fault: 'each byte of a 64 KiB journal changed, each record torn at each byte (test/journal/damage.test.ts)',
    holds: 'all detected, nothing behind it used, nothing deleted',
    ci: 1,
    rounds: 1,
    run: ({ short }) => journalDamage(short),
  },
  {
    name: 'tasks-that-misbehave',
    numbers: [33, 34, 35, 36, 37, 38],
    fault:
      'heap, buffers, endless loop, regex, forks, exit, abort, SIGSEGV, a kill of the parent, poison (test/faults/containment.test.ts)',
    holds: 'a typed error for each, the next call on the slot succeeds, the worker lives',
    rounds: 1,
    run: () => tested('faults/containment.test.ts'),
  },
  {
    name: 'client-killed',
    numbers: [43],
    fault: 'SIGKILL of a client behind its submits, a worker silent for too long (test/faults/silence.test.ts)',
    holds: 'the detached job goes on, the attached one ends; what a lost worker ran changes nothing',
    rounds: 1,
    run: () => tested('faults/silence.test.ts'),
  },
  {
    name: 'client-does-not-read',
    numbers: [44],
    fault: 'a client asks for more than its connection may hold, and reads none of it (test/leader/peers.test.ts, in one process)',
    holds: 'that connection ends with a reason, its job goes on',
    rounds: 1,
    run: () => tested('leader/peers.test.ts', 'that does not read is disconnected'),
  },
  {
    name: 'network-file-system',
    numbers: [57],
    fault: 'file systems whose locks reach beyond this machine, by their magic numbers (test/journal/folder.test.ts)',
    holds: 'refused with NETWORK_FILE_SYSTEM',
    rounds: 1,
    run: () => tested('journal/folder.test.ts', 'magic number|behind FUSE|longest mount point'),
  },
]
