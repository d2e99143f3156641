// Owns what a task's log line looks like to people.
// Must not follow or fetch any.
import { type LogLine, taskText } from '../../protocol/index.ts'
import { harmless, momentText, type Style, styled } from './text.ts'

const streamStyles: Partial<Record<LogLine['stream'], Style>> = { err: 'yellow', system: 'dim' }

/** A line; `full` with moment, task and attempt before it. */
export function logText(line: LogLine, full: boolean): string {
  const style = streamStyles[line.stream]
  const text = style ? styled(style, harmless(line.text), full ? process.stdout : process.stderr) : harmless(line.text)
  const task = harmless(taskText(line.job, line.stage, line.index))
  return full ? `${momentText(line.atMs)} ${task} #${line.attempt} ${line.stream.padEnd(3)} ${text}` : text
}
