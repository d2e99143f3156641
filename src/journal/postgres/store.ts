// Owns the PostgreSQL backend's face: a store that can lead, on a schema of its own in somebody's database.
// Must not be loaded by who does not use it: index.ts of the room imports it when it is asked for.
import type { Append, Claim, Journal, Leadership, Snapshots, Store } from '../journal.ts'
import { type Inspectable, type Inspection, rowBytesKeptDefault } from '../rules.ts'
import { type PostgresTls, parseAddress } from './address.ts'
import { Bytes, batchOf, type JournalEnd } from './batch.ts'
import { fault } from './faults.ts'
import { HistoryShelf } from './history.ts'
import { historyParts } from './history-change.ts'
import { Lease } from './lease.ts'
import { Line } from './line.ts'
import { Reader } from './reader.ts'
import { prepareSchema } from './schema.ts'
import { checkSettings, type Session, type SessionOptions } from './session.ts'
import { SnapshotShelf } from './snapshots.ts'
import { Leading } from './tenure.ts'
import { Writer } from './writer.ts'

/** How a PostgreSQL store is opened. */
export interface PostgresOptions {
  /** `postgres://USER@HOST:PORT,HOST:PORT/DATABASE?schema=coxswain`; no password. */
  url: string
  /** A file with the password, that only its owner may read. Else PGPASSWORD, else PGPASSFILE or ~/.pgpass. */
  passwordFile?: string | undefined
  tls?: PostgresTls | undefined
  /** Rows up to this size together are kept by `compact` although nobody needs them, so that stories can be told. */
  rowBytesKept?: number | undefined
  /** Told what the operator should know. */
  log?: ((level: 'info' | 'warn' | 'error', event: string, fields?: Record<string, unknown>) => void) | undefined
  /** Goes on where acknowledged writes may be lost or read by others: settings of the server, no TLS. */
  allowUnsafe?: boolean | undefined
}

type Log = NonNullable<PostgresOptions['log']>

const silent: Log = () => undefined

/** A store on a schema. */
class PostgresStore implements Store, Inspectable {
  readonly journal: Journal
  readonly history: HistoryShelf
  readonly snapshots: Snapshots
  readonly leadership: Leadership
  readonly inspect: Inspection
  readonly #options: SessionOptions
  readonly #leading = new Leading()
  readonly #reads: Line
  readonly #bulk: Line
  readonly #reader: Reader
  readonly #writer: Writer
  readonly #lease: Lease
  #closing: Promise<void> | undefined

  constructor(options: SessionOptions, log: Log, rowBytesKept: number) {
    const { schema } = options.address
    this.#options = options
    this.#reads = new Line(options)
    this.#bulk = new Line(options)
    const reader = new Reader(this.#reads, schema)
    const leading = this.#leading
    this.#reader = reader
    this.history = new HistoryShelf(reader, schema, log)
    const snapshots = new SnapshotShelf(this.#bulk, schema, leading, log, rowBytesKept)
    this.#writer = new Writer(options, leading, {
      batch: (appends, before) => this.#batch(appends, before),
      end: session => reader.end(session),
    })
    this.#lease = new Lease(options, { leading, expired: () => this.#writer.cut() })
    this.snapshots = { save: snapshot => snapshots.save(snapshot), latest: () => snapshots.latest() }
    this.journal = {
      append: append => this.#writer.append(append),
      read: (fromIndex, rowsMax) => reader.read(fromIndex, rowsMax),
      payload: payload => reader.payload(payload),
      compact: (epoch, index) => snapshots.compact(epoch, index),
      size: () => reader.size(),
    }
    this.leadership = {
      view: () => reader.view(),
      claim: claim => this.#claim(claim),
      resign: () => this.#resign(),
      onLost: callback => leading.listen(callback),
    }
    this.inspect = {
      payloadIds: (after, idsMax) => reader.payloadIds(after, idsMax),
      snapshots: () => snapshots.list(),
      problems: () => this.#problems(),
    }
    leading.listen(failure => {
      if (failure) log('error', 'journal-failed', { code: failure.code, message: failure.message, journal: options.address.words })
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#leading.forget()
    await this.#writer.close()
    await Promise.all([this.#lease.close(), this.#reads.close(), this.#bulk.close()])
  }

  async #batch(appends: readonly Append[], before: JournalEnd) {
    const bytes = new Bytes()
    const changes = appends.flatMap(({ history }) => (history ? [history] : []))
    const going = await this.history.going(changes)
    const rows = changes.flatMap(change => change.rows)
    return batchOf(appends, before, bytes, rows.length + going.length === 0 ? undefined : historyParts(rows, going, bytes))
  }

  async #claim(claim: Claim): Promise<'claimed' | 'lost'> {
    try {
      await this.#lease.listen()
      const tenure = await this.#writer.claim(claim)
      if (tenure === undefined) return 'lost'
      this.#leading.begin(tenure)
      this.#lease.hold(tenure)
      return 'claimed'
    } catch (error) {
      throw fault(error, 'JOURNAL_UNAVAILABLE', 'The journal on PostgreSQL was not claimed')
    }
  }

  async #resign(): Promise<void> {
    const tenure = this.#leading.resign()
    await this.#writer.settled()
    if (tenure === undefined || tenure.over) return
    tenure.over = true
    // Where that is not possible the others wait until it ends by itself.
    await this.#lease.release(tenure).catch(() => undefined)
  }

  async #problems(): Promise<string[]> {
    const line = new Line(this.#options)
    try {
      const session = await line.session()
      return await this.#problemsIn(session)
    } finally {
      await line.close()
    }
  }

  /** All of it on one state of the database. */
  async #problemsIn(session: Session): Promise<string[]> {
    await session.run('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY')
    const found = [...(await this.#reader.problems(session)), ...(await this.history.problems(session))]
    await session.run('COMMIT')
    return found
  }
}

/** Opens the journal in a schema of a PostgreSQL database, made if it is not there. Several processes may; one of them leads. */
export async function openPostgresStore({
  url,
  passwordFile,
  tls = {},
  rowBytesKept = rowBytesKeptDefault,
  log = silent,
  allowUnsafe = false,
}: PostgresOptions): Promise<Store & Inspectable> {
  const address = parseAddress(url, allowUnsafe)
  const options = { address, passwordFile, tls, allowUnsafe }
  const line = new Line(options)
  try {
    const session = await line.session()
    const unsafe = await checkSettings(session, options)
    if (unsafe.length > 0) log('warn', 'journal-unsafe', { journal: address.words, settings: unsafe })
    await prepareSchema(session, address.schema)
    const [standbys] = await session.query<{ value: string }>({
      name: 'standbys',
      text: "SELECT current_setting('synchronous_standby_names') AS value",
    })
    if (standbys!.value === '')
      log('warn', 'asynchronous-failover-may-lose', {
        journal: address.words,
        message:
          'No standby is synchronous: a failover may lose what was acknowledged last (with Patroni: up to maximum_lag_on_failover and its ttl).',
      })
  } catch (error) {
    throw fault(error, 'JOURNAL_UNAVAILABLE', `The journal on ${address.words} was not opened`)
  } finally {
    await line.close()
  }
  return new PostgresStore(options, log, rowBytesKept)
}
