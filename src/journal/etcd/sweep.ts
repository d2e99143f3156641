// Owns what is done behind an append: rows of the history that were too many for its transaction, what goes from it, and payloads that are dropped.
// Must not do anything twice: each step notes in its own transaction how far it is.
import type { PayloadId, Range } from '../../protocol/index.ts'
import type { HistoryRow } from '../history.ts'
import type { Log } from '../sqlite/ledger.ts'
import type { Operation } from './api.ts'
import { readBlob } from './blobs.ts'
import type { Caller } from './caller.ts'
import {
  decodeHistory,
  decodePlaces,
  decodeProgress,
  decodeTodo,
  encodeHistory,
  encodePlaces,
  encodeProgress,
  type PlaceList,
  type ReadTodo,
  type TodoProgress,
} from './history-values.ts'
import { blobName, blobRange, historyKey, jobKey, placesBetween, placesUpTo, todoKey } from './keys.ts'
import { historyPuts } from './plan.ts'
import type { Alone } from './term.ts'

/** Rows that one step adds, and those that it lets go; each takes up to two operations. */
const [rowsAdded, rowsGone] = [30, 10]
/** Payloads of rows that go with them in one step: each takes up to two operations. */
const payloadsGone = 36
/** Operations of drops in one step. */
const dropOperationsMax = 90
/** Lists of places that one step looks at. */
const listsPerStep = 8

/** What one step does. */
interface Step {
  operations: Operation[]
  progress: TodoProgress
  historyRows: number
  payloads: number
  payloadBytes: number
}

/** Does what the append with this first index left to be done. */
export async function sweep(caller: Caller, log: Log, alone: Alone, firstIndex: number): Promise<void> {
  const key = todoKey(firstIndex)
  const [kept] = (await caller.range({ key })).rows
  if (kept === undefined) return
  let progress = decodeProgress(key, kept.value)
  const name = blobName('t', firstIndex)
  const body = await readBlob(caller, name, progress.bodyBytes)
  const todo = decodeTodo(key, body ?? Buffer.alloc(0))
  const sweeper = new Sweeper(caller, log, alone, todo)
  for (let over = false; !over; ) {
    const step = await sweeper.step(progress)
    progress = step.progress
    over = isDone(todo, progress)
    const note: Operation[] = over
      ? [{ delete: { key } }, { delete: blobRange(name) }]
      : [{ put: { key, value: encodeProgress(progress) } }]
    const { end } = alone
    await alone.commit([...step.operations, ...note], {
      historyRows: end.historyRows + step.historyRows,
      payloads: end.payloads - step.payloads,
      payloadBytes: end.payloadBytes - step.payloadBytes,
    })
  }
}

function isDone(todo: ReadTodo, progress: TodoProgress): boolean {
  const { rows, emptied, forgotten, drops } = progress
  return rows >= todo.rows.length && emptied >= todo.emptied.count && forgotten >= todo.forgotten.count && drops >= todo.drops.length
}

class Sweeper {
  readonly #caller: Caller
  readonly #log: Log
  readonly #alone: Alone
  readonly #todo: ReadTodo

  constructor(caller: Caller, log: Log, alone: Alone, todo: ReadTodo) {
    this.#caller = caller
    this.#log = log
    this.#alone = alone
    this.#todo = todo
  }

  /** The next step: rows come first, then what is emptied, what is forgotten, and drops. */
  async step(before: TodoProgress): Promise<Step> {
    const { rows, emptied, forgotten, drops } = this.#todo
    const progress = { ...before }
    if (progress.rows < rows.length) {
      const some = rows.slice(progress.rows, progress.rows + rowsAdded).map(row => decodeHistory('todo', row))
      progress.rows += some.length
      return { operations: historyPuts(some), progress, historyRows: some.length, payloads: 0, payloadBytes: 0 }
    }
    if (progress.emptied < emptied.count) {
      const { done, ...step } = await this.#letGo(emptied, progress.emptied, false)
      return { ...step, progress: { ...progress, emptied: done } }
    }
    if (progress.forgotten < forgotten.count) {
      const { done, ...step } = await this.#letGo(forgotten, progress.forgotten, true)
      return { ...step, progress: { ...progress, forgotten: done } }
    }
    const rest = drops.slice(progress.drops)
    await this.#alone.indexes.load(rest)
    const some = rest.slice(0, this.#alone.indexes.countWithin(rest, dropOperationsMax))
    progress.drops += some.length
    return { ...this.#alone.indexes.drop(some), progress, historyRows: 0 }
  }

  /** Lets go of the payloads of rows at places of a range, from the `from`th on, or of the rows themselves. */
  async #letGo(range: Range, from: number, whole: boolean): Promise<Omit<Step, 'progress'> & { done: number }> {
    const [first, end] = [range.first + from, range.first + range.count]
    const { lists, more } = await this.#lists(first, end)
    const there = lists.flatMap(({ list }) => list).filter(([place]) => place >= first && place < end)
    const found = await this.#rows(there.slice(0, rowsGone).map(([, number]) => number))
    const operations: Operation[] = []
    const gone: PayloadId[] = []
    const left = new Set<number>()
    // Where nothing more is there, all of it is done.
    let next = more ? there.at(-1)![0] + 1 : end
    for (const [at, [place, number]] of there.entries()) {
      const row = found[at]
      const payloads = row?.payloads.slice(0, payloadsGone - gone.length) ?? []
      if (at >= rowsGone || (row && payloads.length < row.payloads.length)) next = place
      if (at >= rowsGone) break
      gone.push(...payloads)
      const rest = row && { ...row, payloads: row.payloads.slice(payloads.length) }
      if (next === place && rest) {
        if (payloads.length > 0) operations.push({ put: { key: historyKey(number), value: encodeHistory(rest) } })
        break
      }
      if (whole) {
        operations.push({ delete: { key: historyKey(number) } })
        if (row) operations.push({ delete: { key: jobKey(row.job) } })
        left.add(place)
      } else if (rest && payloads.length > 0) operations.push({ put: { key: historyKey(number), value: encodeHistory(rest) } })
    }
    for (const { key, list } of lists) {
      const rest = list.filter(([place]) => !left.has(place))
      if (rest.length === 0) operations.push({ delete: { key } })
      else if (rest.length < list.length) operations.push({ put: { key, value: encodePlaces(rest) } })
    }
    await this.#alone.indexes.load(gone)
    const { operations: drops, ...dropped } = this.#alone.indexes.drop(gone)
    return { operations: [...operations, ...drops], ...dropped, historyRows: -left.size, done: next - range.first }
  }

  /** The first lists with places from `first` on, before `end`. */
  async #lists(first: number, end: number): Promise<{ lists: { key: string; list: PlaceList }[]; more: boolean }> {
    const [before, behind] = await this.#caller.read([
      { ...placesUpTo(first), descending: true, limit: 1 },
      { ...placesBetween(first, end), limit: listsPerStep },
    ])
    const lists = [...before!.rows, ...behind!.rows].map(({ key, value }) => ({ key, list: decodePlaces(key, value) }))
    return { lists, more: behind!.more }
  }

  /** Rows by their numbers; undefined for one that is damaged: what it names may be another's, and stays. */
  async #rows(numbers: readonly number[]): Promise<(HistoryRow | undefined)[]> {
    const answers = numbers.length > 0 ? await this.#caller.read(numbers.map(number => ({ key: historyKey(number) }))) : []
    return answers.map(({ rows: [kept] }) => {
      try {
        return kept && decodeHistory(kept.key, kept.value)
      } catch (error) {
        this.#log('error', 'history-damaged', { message: String(error) })
        return undefined
      }
    })
  }
}
