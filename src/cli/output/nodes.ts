// Owns nodes as a table. Must not ask for anything.
import type { NodeView } from '../../protocol/index.ts'
import { tableLines } from './table.ts'

/** Nodes that have a certificate. */
export function nodeLines(nodes: readonly NodeView[]): string[] {
  return tableLines(
    [
      { title: 'NODE', text: node => node.name },
      { title: 'ROLE', text: node => node.role },
      { title: 'STATE', text: node => node.state },
      { title: 'EXPIRES', text: node => new Date(node.expiresAtMs).toISOString() },
      { title: 'AUTHORITY', text: node => node.authority.slice(0, 16) },
      { title: 'ADDRESS', text: node => node.address },
    ],
    nodes,
  )
}
