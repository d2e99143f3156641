// Shows an ETL: a step lists files, each is a task that reads and cleans it, a branch looks at the quality, and what is good goes into a table of
// SQLite, all of it or nothing. Where the sum is not what the source says, a compensation removes again what was loaded.
// Run it with: node examples/etl.ts (it starts a cluster for itself where none is up). In your own project import from 'coxswain'.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type CoxswainError, connect, task, workflow } from '../src/index.ts'

interface Row {
  item: string
  cents: number
}

interface Table {
  file: string
  rows: Row[]
  /** Lines that are no rows. */
  bad: number
}

/** Where a batch comes from, and where it goes. */
interface Batch {
  folder: string
  database: string
}

/** Opens the database, does this in one transaction, and closes it. */
function inTransaction<T>(path: string, act: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(path)
  try {
    database.exec(`PRAGMA busy_timeout = 5000;
      CREATE TABLE IF NOT EXISTS batches (job TEXT PRIMARY KEY, token INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS sales (job TEXT, item TEXT, cents INTEGER);
      BEGIN IMMEDIATE`)
    const result = act(database)
    database.exec('COMMIT')
    return result
  } finally {
    database.close()
  }
}

const list = task({
  name: 'list',
  run: (folder: string) =>
    readdirSync(folder)
      .filter(name => name.endsWith('.csv'))
      .sort()
      .map(name => join(folder, name)),
})

const clean = task({
  name: 'clean',
  run(file: string): Table {
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    const rows = lines.map(line => line.split(',')).map(([item, cents]) => ({ item: item!, cents: Number(cents) }))
    const good = rows.filter(row => row.item !== '' && Number.isInteger(row.cents))
    return { file, rows: good, bad: rows.length - good.length }
  },
})

/** At most one line of ten may be bad. */
const isGood = task({
  name: 'is-good',
  run: (tables: Table[]) => tables.reduce((sum, { bad, rows }) => sum + 9 * bad - rows.length, 0) <= 0,
})

/** May run more than once, as every task: an attempt that comes late has a smaller token, and is refused. */
const load = task({
  name: 'load',
  retries: 3,
  run({ database, tables }: { database: string; tables: Table[] }, ctx) {
    return inTransaction(database, open => {
      const taken = open
        .prepare('INSERT INTO batches VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET token = excluded.token WHERE excluded.token > token')
        .run(ctx.job, ctx.fencingToken)
      if (taken.changes === 0) throw new Error(`a later attempt has loaded ${ctx.job}, or it was removed`)
      open.prepare('DELETE FROM sales WHERE job = ?').run(ctx.job)
      const insert = open.prepare('INSERT INTO sales VALUES (?, ?, ?)')
      for (const { rows } of tables) for (const { item, cents } of rows) insert.run(ctx.job, item, cents)
      return tables.reduce((sum, { rows }) => sum + rows.length, 0)
    })
  },
})

/** Removes what was loaded, and lets no attempt load it any more. */
const unload = task({
  name: 'unload',
  retries: 3,
  run({ database }: Batch, ctx) {
    inTransaction(database, open => {
      const { changes } = open.prepare('DELETE FROM sales WHERE job = ?').run(ctx.job)
      open.prepare('INSERT OR REPLACE INTO batches VALUES (?, ?)').run(ctx.job, Number.MAX_SAFE_INTEGER)
      ctx.log(`removed ${changes} rows`)
    })
  },
})

const reconcile = task({
  name: 'reconcile',
  run({ folder, database }: Batch, ctx) {
    const wanted = Number(readFileSync(join(folder, 'total.txt'), 'utf8'))
    const { cents } = inTransaction(database, open => open.prepare('SELECT sum(cents) AS cents FROM sales WHERE job = ?').get(ctx.job))!
    if (cents !== wanted) throw new Error(`${String(cents)} cents were loaded, and the source says ${wanted}`)
    return `loaded, ${wanted} cents`
  },
})

const setAside = task({
  name: 'set-aside',
  run: (tables: Table[]) => `set aside, ${tables.reduce((sum, { bad }) => sum + bad, 0)} bad lines`,
})

/** One batch of files: loaded as a whole, set aside, or failed and nothing left of it. */
export const etl = workflow({
  name: 'etl',
  build(flow, batch: Batch) {
    const tables = flow.map(clean, flow.run(list, batch.folder))
    return flow.when(
      flow.run(isGood, tables),
      () => {
        const loaded = flow.run(load, { database: batch.database, tables })
        flow.onFailure(loaded, unload, batch)
        return flow.run(reconcile, batch, { after: loaded })
      },
      () => flow.run(setAside, tables),
    )
  },
})

/** Files of a batch as somebody might send them. */
function sample(folder: string, files: Record<string, string>): string {
  mkdirSync(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

if (import.meta.main) {
  const folder = mkdtempSync(join(tmpdir(), 'etl-'))
  const database = join(folder, 'sales.db')
  const batches = [
    sample(join(folder, 'monday'), { 'north.csv': 'oar,1200\nsail,9900\n', 'south.csv': 'oar,1100\n', 'total.txt': '12200' }),
    sample(join(folder, 'tuesday'), { 'north.csv': 'oar,twelve\nrope,300\n', 'total.txt': '1500' }),
    sample(join(folder, 'wednesday'), { 'north.csv': 'anchor,5000\n', 'south.csv': 'rope,300\n', 'total.txt': '9999' }),
  ]
  {
    await using cluster = await connect()
    for (const batch of batches) {
      const job = await cluster.submit(etl, { folder: batch, database })
      console.log(await job.result().catch((error: CoxswainError) => error.message))
      for await (const line of job.logs()) console.log(line.text)
    }
  }
  const left = inTransaction(database, open => open.prepare('SELECT item, cents FROM sales ORDER BY item, cents').all())
  console.log(left.map(row => `${String(row['item'])} ${String(row['cents'])}`).join(', '))
  rmSync(folder, { recursive: true })
}
