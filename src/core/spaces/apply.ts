// Owns what the facts about spaces do to the state. Must not choose anything.
import type { RecordOf } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import { takePayload } from '../tasks/apply.ts'
import { type Entry, Space } from './state.ts'

export function applyEntriesWritten(state: State, record: RecordOf<'EntriesWritten'>): void {
  const { spaces } = state
  const version = ++spaces.lastVersion
  for (const { space, key, payload, bytes } of record.writes) {
    dropEntry(state, space, key)
    if (payload === undefined) continue
    takePayload(state, payload)
    putEntry(state, space, key, { payload, bytes, version })
  }
  if (record.session === '') return
  const known = spaces.bySession.get(record.session) ?? { before: 0, done: new Map<number, number>() }
  spaces.bySession.set(record.session, known)
  known.before = Math.max(known.before, record.before)
  for (const number of known.done.keys()) if (number < known.before) known.done.delete(number)
  known.done.set(record.number, version)
}

/** Adds an entry that is not there. */
export function putEntry({ spaces }: State, space: string, key: string, entry: Entry): void {
  const entries = spaces.byName.get(space) ?? new Space()
  spaces.byName.set(space, entries)
  entries.set(key, entry)
  spaces.entries++
  spaces.bytes += entry.bytes
}

function dropEntry(state: State, space: string, key: string): void {
  const { spaces } = state
  const entries = spaces.byName.get(space)
  const old = entries?.get(key)
  if (!entries || !old) return
  entries.delete(key)
  if (entries.size === 0) spaces.byName.delete(space)
  spaces.entries--
  spaces.bytes -= old.bytes
  state.payloadDrops.push(old.payload)
}

export function applySessionEnded(state: State, record: RecordOf<'SessionEnded'>): void {
  state.spaces.bySession.delete(record.session)
}
