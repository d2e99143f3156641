// Owns the face of the journal in etcd: the four interfaces, and what a handle does while it leads.
// Must not call etcd but through its parts.
import { CoxswainError, OverloadedError } from '../../protocol/errors.ts'
import type { History } from '../history.ts'
import type { Append, Claim, Journal, JournalSize, Leadership, Snapshot, Snapshots, Store } from '../journal.ts'
import { Lost } from '../lost.ts'
import { copyOfAppend, type Inspectable, type Inspection, readsInFlightMax } from '../rules.ts'
import type { Log } from '../sqlite/ledger.ts'
import { type Etcd, EtcdError, type RangeAnswer } from './api.ts'
import { Caller, type StoreClock } from './caller.ts'
import { claimLeadership } from './claim.ts'
import { systemClock } from './clock.ts'
import { EtcdHistory } from './history.ts'
import { aliveKey, todos } from './keys.ts'
import { Lifeline } from './lifeline.ts'
import { type EtcdLimits, limitsOf } from './limits.ts'
import { Reader } from './reader.ts'
import { EtcdSnapshots, type SnapshotStore } from './snapshots.ts'
import { sweep } from './sweep.ts'
import { type Alone, Term } from './term.ts'
import { compactRows, Forgetting, notLeading } from './upkeep.ts'
import { whyUnsafeEtcd } from './version.ts'

/** How a store in etcd is opened. */
export interface EtcdStoreOptions extends Partial<EtcdLimits> {
  /** Opened with the prefix that is this cluster's alone. The store closes it. */
  etcd: Etcd
  /** Told what the operator should know. */
  log?: Log
  /** Where snapshots go that are too large for etcd. */
  snapshots?: SnapshotStore
  /** Leads on releases of etcd too that have bugs which can cost what the journal promises. */
  allowUnsafe?: boolean
  clock?: StoreClock
}

/** A store in etcd, as one process has it open. */
class EtcdStore implements Store, Inspectable {
  readonly journal: Journal
  readonly history: History
  readonly snapshots: Snapshots
  readonly leadership: Leadership
  readonly inspect: Inspection
  readonly #caller: Caller
  readonly #limits: EtcdLimits
  readonly #log: Log
  readonly #lost = new Lost()
  readonly #reader: Reader
  readonly #history: EtcdHistory
  readonly #snapshots: EtcdSnapshots
  readonly #allowUnsafe: boolean
  #unsafe: Promise<string | undefined> | undefined
  #term: Term | undefined
  #lifeline: Lifeline | undefined
  #saving: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined
  #reads = 0
  #diskBytes = 0

  constructor(caller: Caller, limits: EtcdLimits, log: Log, { snapshots: outside, allowUnsafe = false }: EtcdStoreOptions) {
    this.#allowUnsafe = allowUnsafe
    this.#caller = caller
    this.#limits = limits
    this.#log = log
    this.#reader = new Reader(caller, () => this.#term?.durable.sequence ?? 0)
    this.#history = new EtcdHistory(this.#reader, () => this.#swept())
    const { snapshotBytesMax: inEtcdBytesMax } = limits
    this.#snapshots = new EtcdSnapshots({ caller, reader: this.#reader, log, inEtcdBytesMax, outside, term: () => this.#term })
    const reading = <T>(read: () => Promise<T>): Promise<T> => this.#reading(read)
    this.journal = {
      append: append => this.#append(append),
      read: (fromIndex, rowsMax) => reading(() => this.#reader.rows(fromIndex, rowsMax)),
      payload: payload => reading(() => this.#swept().then(() => this.#reader.payload(payload))),
      compact: (epoch, index) => this.#compact(epoch, index),
      size: () => reading(() => this.#swept().then(() => this.#size())),
    }
    this.history = {
      page: query => reading(() => this.#history.page(query)),
      row: job => reading(() => this.#history.row(job)),
    }
    this.snapshots = {
      save: snapshot => this.#save(snapshot),
      latest: () => reading(() => this.#snapshots.latest()),
    }
    this.leadership = {
      view: () => reading(() => this.#reader.view()),
      claim: claim => this.#claim(claim),
      resign: () => this.#resign(),
      onLost: callback => this.#lost.listen(callback),
    }
    this.inspect = {
      payloadIds: (after, idsMax) => reading(() => this.#swept().then(() => this.#reader.payloadIds(after, idsMax))),
      snapshots: () => reading(() => this.#snapshots.list()),
      problems: () => reading(() => this.#problems()),
    }
  }

  /** Refuses what is not a journal of ours. Nobody waits for what the members say of themselves: only a claim needs it. */
  async check(): Promise<void> {
    this.#unsafe = this.#allowUnsafe ? undefined : this.#whyUnsafe()
    await this.#reader.check()
  }

  /** Why nobody should lead here; undefined where no member says anything against it. */
  async #whyUnsafe(): Promise<string | undefined> {
    const members = await this.#caller.etcd.members().catch(() => [])
    for (const member of members) {
      const why = member instanceof EtcdError ? undefined : whyUnsafeEtcd(member.version)
      if (why !== undefined) return why
    }
    return undefined
  }

  async #refuseUnsafe(): Promise<void> {
    // What was wrong before may have been upgraded meanwhile.
    if ((await this.#unsafe) === undefined) return
    this.#unsafe = this.#whyUnsafe()
    const why = await this.#unsafe
    if (why !== undefined) throw new CoxswainError('UNSAFE_ETCD', `${why}.`, { id: 'etcd' })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#lost.forget()
    await this.#saving
    try {
      await this.#giveUp()
    } catch (error) {
      // The lease ends by itself.
      this.#log('warn', 'leadership-not-given-up', { message: String(error) })
    }
    this.#lifeline?.end()
    this.#caller.close()
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    if (this.#reads >= readsInFlightMax) throw new OverloadedError(`${readsInFlightMax} reads are under way.`)
    this.#reads++
    try {
      return await read()
    } finally {
      this.#reads--
    }
  }

  /** What was appended through this handle is found only when what it left to do is done. */
  async #swept(): Promise<void> {
    await this.#term?.swept
  }

  #refuseClosed(): void {
    if (this.#closing) throw new CoxswainError('JOURNAL_WRITE_FAILED', 'The store is closed.')
  }

  async #append(append: Append): Promise<'durable' | 'fenced'> {
    this.#refuseClosed()
    return this.#term ? this.#term.append(append) : 'fenced'
  }

  async #claim(claim: Claim): Promise<'claimed' | 'lost'> {
    this.#refuseClosed()
    await this.#refuseUnsafe()
    const { leaseMs, inFlightMax } = this.#limits
    const caller = this.#caller
    const log = this.#log
    const copy = { ...claim, opening: copyOfAppend(claim.opening) }
    const won = await claimLeadership(caller, this.#reader, copy, Math.ceil(leaseMs / 1000))
    if (!won) return 'lost'
    const { fence, end, lease } = won
    this.#lifeline?.end()
    this.#lost.leading()
    const term: Term = new Term({
      ...{ caller, epoch: claim.opening.epoch, fence, end, inFlightMax },
      sweep: (alone, firstIndex) => this.#sweep(alone, firstIndex),
      lost: failure => this.#lose(term, failure),
    })
    this.#term = term
    const forgetting = new Forgetting(caller, log)
    const tick = (): void => forgetting.look()
    this.#lifeline = new Lifeline({ caller, log, term, lease, revision: fence, ttlMs: leaseMs, tick })
    try {
      await this.#inherit(term)
    } catch (error) {
      if (error instanceof CoxswainError) term.lose(error)
      throw error
    }
    return 'claimed'
  }

  /** Does what the leader before did not get to. */
  async #inherit(term: Term): Promise<void> {
    const { rows } = await this.#caller.range({ ...todos, keysOnly: true, descending: true })
    // Each goes before all others that wait: the oldest comes to be first.
    for (const { key } of rows) term.sweep(Number.parseInt(key.slice(key.indexOf('/') + 1), 16))
    const cleared = this.#saving.then(() => this.#snapshots.clear(term))
    this.#saving = cleared.catch(error => this.#log('warn', 'snapshots-not-cleared', { message: String(error) }))
  }

  async #sweep(alone: Alone, firstIndex: number): Promise<void> {
    try {
      await sweep(this.#caller, this.#log, alone, firstIndex)
    } catch (error) {
      // It stays where it is, for whoever mends it; all else goes on.
      if (error instanceof CoxswainError && error.code === 'JOURNAL_CORRUPT')
        this.#log('error', 'todo-damaged', { index: firstIndex, message: error.message })
      throw error
    }
  }

  #lose(term: Term, failure: CoxswainError | undefined): void {
    if (term !== this.#term) return
    // Whoever is next need not wait for the end of this lease.
    void this.#lifeline?.release()
    if (failure) this.#log('error', 'journal-failed', { code: failure.code, message: failure.message })
    this.#lost.happened(failure)
  }

  async #resign(): Promise<void> {
    this.#refuseClosed()
    this.#lost.resigned()
    await this.#giveUp()
  }

  async #giveUp(): Promise<void> {
    const term = this.#term
    await term?.resign(async () => {
      await term.fenced([{ delete: { key: aliveKey } }])
      await this.#lifeline?.release()
    })
  }

  async #compact(epoch: number, index: number): Promise<void> {
    this.#refuseClosed()
    const term = this.#term
    if (!term?.leads || term.epoch !== epoch) throw notLeading(epoch)
    await compactRows(this.#caller, term, index, await this.#snapshots.fallback(), this.#limits.rowBytesKept)
    await this.#measure()
  }

  #save(snapshot: Snapshot): Promise<'durable' | 'fenced'> {
    const copy = { ...snapshot, hash: Uint8Array.from(snapshot.hash), state: Uint8Array.from(snapshot.state) }
    const saved = this.#saving.then(() => {
      this.#refuseClosed()
      return this.#snapshots.save(copy)
    })
    this.#saving = saved.catch(() => undefined)
    return saved
  }

  async #measure(): Promise<void> {
    const members = await this.#caller.etcd.members().catch(() => [])
    this.#diskBytes = Math.max(0, ...members.map(member => ('dbSizeBytes' in member ? member.dbSizeBytes : 0)))
  }

  async #size(): Promise<JournalSize> {
    const { end, firstIndex } = await this.#reader.size()
    const { lastIndex, rows, rowBytes, payloads, payloadBytes, historyRows } = end
    return { firstIndex, lastIndex, rows, rowBytes, payloads, payloadBytes, historyRows, diskBytes: this.#diskBytes }
  }

  async #problems(): Promise<string[]> {
    await this.#swept()
    const [left] = (await this.#caller.read([{ ...todos, countOnly: true }])) as [RangeAnswer]
    const { rows, problems } = await this.#history.examine()
    const { historyRows } = await this.#size()
    if (left.count === 0 && rows !== historyRows) problems.push(`The history has ${rows} rows where ${historyRows} are counted.`)
    return problems
  }
}

const silent: Log = () => undefined

/** Opens the journal in etcd. Several processes may; one of them leads. */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store & Inspectable> {
  const { etcd, log = silent, clock = systemClock } = options
  const limits = limitsOf(options)
  const caller = new Caller(etcd, clock, limits.settleMs)
  const store = new EtcdStore(caller, limits, log, options)
  try {
    await store.check()
  } catch (error) {
    caller.close()
    throw error
  }
  return store
}
