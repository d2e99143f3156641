// Owns `npm run chaos`: real processes, real signals and real files, and the promises that must hold all the same.
// Must not count a run in which the fault did not happen.
import { parseArgs } from 'node:util'
import { type Row, type RowOutcome, verdict } from './row.ts'
import { rows } from './rows/index.ts'

const help = `npm run chaos -- [options]
  --list              every row: its numbers in the fault matrix, the fault, what must hold
  --row N             only the rows of this number of the matrix (may be given again)
  --only NAME[,NAME]  only the rows of these names
  --rounds N          how often each fault is made, where that can be said
  --ci                the short set, in about two minutes
  --smoke             a part of the I/O points and bytes
`
const usageCode = 2
const roundsMax = 10_000

interface Chosen {
  row: Row
  rounds: number
  short: boolean
}

function list(): string {
  return rows
    .map(
      ({ name, numbers, fault, holds, ci }) => `${name} (${numbers.join(', ')}${ci ? ', ci' : ''})\n  fault: ${fault}\n  holds: ${holds}\n`,
    )
    .join('')
}

interface Wanted {
  row?: string[]
  only?: string
  rounds?: string
  ci?: boolean
  smoke?: boolean
}

/** The rows that are asked for, or what is wrong with the question. */
function choose({ row: numbers, only, rounds: roundsText, ci = false, smoke = false }: Wanted): Chosen[] | string {
  const rounds = roundsText === undefined ? undefined : Number(roundsText)
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds >= 1 && rounds <= roundsMax))
    return `--rounds takes a number from 1 to ${roundsMax}.`
  const names = only?.split(',')
  const unknown = names?.find(name => !rows.some(row => row.name === name))
  if (unknown !== undefined) return `There is no row ${unknown}.`
  const missing = numbers?.find(number => !rows.some(row => row.numbers.includes(Number(number))))
  if (missing !== undefined) return `No row has the number ${missing}.`
  return rows
    .filter(row => !names || names.includes(row.name))
    .filter(row => !numbers || numbers.some(number => row.numbers.includes(Number(number))))
    .filter(row => !ci || row.ci !== undefined)
    .map(row => ({ row, rounds: rounds ?? (ci ? row.ci! : row.rounds), short: ci || smoke }))
}

async function attempt({ row, rounds, short }: Chosen): Promise<RowOutcome> {
  try {
    return await row.run({ rounds, short })
  } catch (error) {
    return { fired: 0, problems: [error instanceof Error ? (error.stack ?? error.message) : String(error)], told: '' }
  }
}

const marks = { held: '✔', broke: '✖', void: '✖ void:', skipped: '∅ SKIPPED:' } as const

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      list: { type: 'boolean' },
      row: { type: 'string', multiple: true },
      only: { type: 'string' },
      rounds: { type: 'string' },
      ci: { type: 'boolean' },
      smoke: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help || values.list) {
    process.stdout.write(values.list ? list() : help)
    return 0
  }
  const chosen = choose(values)
  if (typeof chosen === 'string') {
    process.stderr.write(`${chosen}\n${help}`)
    return usageCode
  }
  const table: string[] = []
  let good = true
  for (const one of chosen) {
    const startedMs = performance.now()
    const outcome = await attempt(one)
    const found = verdict(outcome)
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    good &&= found === 'held' || found === 'skipped'
    for (const problem of outcome.problems) process.stdout.write(`  ${one.row.name}: ${problem}\n`)
    const line = `${marks[found]} ${one.row.name.padEnd(22)} ${one.row.numbers.join(',').padEnd(18)} ${seconds.padStart(6)} s  ${outcome.skipped ?? outcome.told}`
    process.stdout.write(`${line}\n`)
    table.push(line)
  }
  process.stdout.write(`\n${table.join('\n')}\n${good ? 'Every promise held.' : 'Something broke, or a run was void.'}\n`)
  return good ? 0 : 1
}

process.exitCode = await main()
