// Owns `npm run test:hosts`: a cluster of machines on network namespaces, real processes and real cuts, and the promises that must hold all the same.
// Must not count a run in which the fault did not happen, and must not pass silently where there can be no hosts.
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { whyNoEtcd } from '../../test/services/etcd.ts'
import { type RowOutcome, verdict } from '../row.ts'
import { asked, help } from './arguments.ts'
import { clientHost, hostCount } from './cluster.ts'
import { Hosts, whyNoHosts } from './network.ts'
import type { HostRow } from './row.ts'
import { hostRows } from './rows/index.ts'

const usageCode = 2
/** Set for the process that runs on the client's host. */
const insideVariable = 'COX_TEST_HOSTS'
const marks = { held: '✔', broke: '✖', void: '✖ void:', skipped: '∅ SKIPPED:' } as const

async function attempt(row: HostRow, hosts: Hosts, rounds: number): Promise<RowOutcome> {
  try {
    return await row.run(hosts, rounds)
  } catch (error) {
    return { fired: 0, problems: [error instanceof Error ? (error.stack ?? error.message) : String(error)], told: '' }
  }
}

/** On the client's host: the rows, one after the other, each on a cluster of its own. */
async function inside(name: string, rows: readonly HostRow[], rounds: number | undefined): Promise<number> {
  const hosts = Hosts.of(name, hostCount)
  const table: string[] = []
  let good = true
  for (const row of rows) {
    const startedMs = performance.now()
    const outcome = await attempt(row, hosts, rounds ?? row.rounds)
    const found = verdict(outcome)
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    good &&= found === 'held' || found === 'skipped'
    for (const problem of outcome.problems) process.stdout.write(`  ${row.name}: ${problem}\n`)
    const line = `${marks[found]} ${row.name.padEnd(24)} ${row.numbers.join(',').padEnd(6)} ${seconds.padStart(6)} s  ${outcome.skipped ?? outcome.told}`
    process.stdout.write(`${line}\n`)
    table.push(line)
  }
  process.stdout.write(`\n${table.join('\n')}\n${good ? 'Every promise held.' : 'Something broke, or a run was void.'}\n`)
  return good ? 0 : 1
}

/** Makes the hosts, and runs this program again on the client's. */
async function outside(): Promise<number> {
  const name = `coxh${process.pid}`
  const hosts = Hosts.up(name, hostCount)
  try {
    const args = ['--disable-warning=ExperimentalWarning', fileURLToPath(import.meta.url), ...process.argv.slice(2)]
    const child = hosts.spawn(clientHost, process.execPath, args, {
      stdio: 'inherit',
      env: { ...process.env, [insideVariable]: name },
    })
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
    const [code] = (await once(child, 'exit')) as [number | null]
    return code ?? 1
  } finally {
    hosts.down()
  }
}

async function main(): Promise<number> {
  const wanted = asked(process.argv.slice(2), hostRows)
  if ('wrong' in wanted) {
    process.stderr.write(`${wanted.wrong}\n${help}`)
    return usageCode
  }
  if ('show' in wanted) {
    const lines = hostRows.map(
      ({ name, numbers, fault, holds }) => `${name} (${numbers.join(', ')})\n  fault: ${fault}\n  holds: ${holds}\n`,
    )
    process.stdout.write(wanted.show === 'list' ? lines.join('') : help)
    return 0
  }
  const name = process.env[insideVariable]
  if (name !== undefined) return inside(name, wanted.rows, wanted.rounds)
  const why = whyNoHosts() ?? whyNoEtcd({ tls: true })
  if (why !== undefined) {
    process.stdout.write(`∅ SKIPPED: NOTHING OF test:hosts WAS RUN: ${why}\n`)
    return 0
  }
  return outside()
}

process.exitCode = await main()
