// Owns tables: columns aligned by display width, also with CJK text in them.
// Must not know what the rows are about.
import { displayWidth, harmless, styled } from './text.ts'

/** One column of a table. */
export interface Column<Row> {
  title: string
  /** The cell's text; control characters are escaped here. */
  text(row: Row): string
  align?: 'left' | 'right'
}

const gap = '  '

function padded(text: string, width: number, align: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return align === 'right' ? space + text : text + space
}

/** The table's lines, titles first. */
export function tableLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const cells = rows.map(row => columns.map(column => harmless(column.text(row))))
  const widths = columns.map((column, at) =>
    cells.reduce((most, row) => Math.max(most, displayWidth(row[at]!)), displayWidth(column.title)),
  )
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, at) => padded(text, widths[at]!, columns[at]!.align ?? 'left'))
      .join(gap)
      .trimEnd()
  return [styled('bold', line(columns.map(column => column.title))), ...cells.map(line)]
}
