// Owns the arguments of `npm run test:hosts`.
// Must not run a row.
import { parseArgs } from 'node:util'
import type { HostRow } from './row.ts'

/** What is said about how it is called. */
export const help = `npm run test:hosts -- [options]
  --list       every row: its numbers in the fault matrix, the fault, what must hold
  --row N      only the rows of this number of the matrix (may be given again)
  --only NAME  only the row of this name (may be given again)
  --rounds N   how often each fault is made
`
const roundsMax = 1000

/** What is asked for: text to be shown, rows to be run, or what is wrong with the question. */
export type Asked = { show: 'help' | 'list' } | { rows: readonly HostRow[]; rounds: number | undefined } | { wrong: string }

/** Reads the arguments. */
export function asked(args: readonly string[], rows: readonly HostRow[]): Asked {
  let values: { list?: boolean; help?: boolean; row?: string[]; only?: string[]; rounds?: string }
  try {
    const many = { type: 'string', multiple: true } as const
    const flag = { type: 'boolean' } as const
    values = parseArgs({ args: [...args], options: { list: flag, help: flag, row: many, only: many, rounds: { type: 'string' } } }).values
  } catch (error) {
    return { wrong: (error as Error).message }
  }
  if (values.help || values.list) return { show: values.list ? 'list' : 'help' }
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds >= 1 && rounds <= roundsMax))
    return { wrong: `--rounds takes a number from 1 to ${roundsMax}.` }
  const missing = values.row?.find(number => !rows.some(row => row.numbers.includes(Number(number))))
  if (missing !== undefined) return { wrong: `No row has the number ${missing}.` }
  const unknown = values.only?.find(name => !rows.some(row => row.name === name))
  if (unknown !== undefined) return { wrong: `There is no row ${unknown}.` }
  return {
    rounds,
    rows: rows
      .filter(row => !values.row || values.row.some(number => row.numbers.includes(Number(number))))
      .filter(row => !values.only || values.only.includes(row.name)),
  }
}
