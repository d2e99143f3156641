// Owns what lines of the audit log look like to people. Must not ask the cluster anything.
import type { AuditEntry } from '../../protocol/index.ts'
import { tableLines } from './table.ts'
import { countText, fit } from './text.ts'

const idColumnsMax = 50

/** The table of lines. */
export function auditLines(entries: readonly AuditEntry[]): string[] {
  return tableLines(
    [
      { title: 'TIME', text: entry => entry.time.slice(0, 19) },
      { title: 'WHO', text: entry => entry.who || '-' },
      { title: 'CREDENTIAL', text: entry => entry.credential || '-' },
      { title: 'FROM', text: entry => entry.from },
      { title: 'WHAT', text: entry => entry.what },
      { title: 'ID', text: entry => fit(entry.id, idColumnsMax) },
      { title: 'OUTCOME', text: entry => (entry.code === '' ? entry.outcome : `${entry.outcome}: ${entry.code}`) },
      { title: 'COUNT', align: 'right', text: entry => countText(entry.count) },
    ],
    entries,
  )
}
