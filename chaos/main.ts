// Owns `npm run chaos`: real processes, real signals and real files, and the promises that must hold all the same.
// Must not count a run in which the fault did not happen.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { killAtEachPoint } from './journal-kills.ts'

const help = `npm run chaos -- [options]
  --only NAME[,NAME]  these rows only: journal-kills, journal-damage
  --smoke             every 8th I/O point and a part of the bytes: only that everything works
`
/** Of all points this part may be missed, because threads do not meet in the same order every time. */
const missedPartMax = 0.1

/** A leader killed at each I/O point of its journal; true if every promise held. */
async function journalKills(smoke: boolean): Promise<boolean> {
  const { points, killed, notReached, acknowledged, problems, notes } = await killAtEachPoint(smoke ? 8 : 1)
  for (const line of [...notes, ...problems]) process.stdout.write(`${line}\n`)
  const told = `${points} I/O points, ${killed} kills, ${notReached} not reached, ${acknowledged} acknowledgements checked`
  process.stdout.write(`journal-kills: ${told}, ${problems.length} problems\n`)
  return problems.length === 0 && killed > 0 && notReached <= points * missedPartMax
}

/** Each byte of a journal changed, each record's tail torn. */
async function journalDamage(smoke: boolean): Promise<boolean> {
  const test = fileURLToPath(new URL('../test/journal/damage.test.ts', import.meta.url))
  const environment = smoke ? process.env : { ...process.env, COX_EVERY_BYTE: '1' }
  return spawnSync(process.execPath, ['--test', '--test-reporter=spec', test], { stdio: 'inherit', env: environment }).status === 0
}

const rows: Readonly<Record<string, (smoke: boolean) => Promise<boolean>>> = {
  'journal-kills': journalKills,
  'journal-damage': journalDamage,
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { only: { type: 'string' }, smoke: { type: 'boolean' }, help: { type: 'boolean' } } })
  const names = values.only?.split(',') ?? Object.keys(rows)
  const unknown = names.find(name => rows[name] === undefined)
  if (values.help === true || unknown !== undefined) {
    process.stdout.write(unknown === undefined ? help : `There is no row ${unknown}.\n${help}`)
    return unknown === undefined ? 0 : 2
  }
  let ok = true
  for (const name of names) {
    const held = await rows[name]!(values.smoke === true)
    process.stdout.write(`${held ? '✔' : '✖'} ${name}\n`)
    ok &&= held
  }
  return ok ? 0 : 1
}

process.exitCode = await main()
