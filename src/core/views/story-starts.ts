// Owns the telling of records about what starts jobs by itself: schedules and events. Must not need the state.
import type { RecordOf } from '../../protocol/index.ts'
import { momentOf } from './moment.ts'

type ScheduleRecord = RecordOf<'ScheduleSet' | 'ScheduleTicked' | 'ScheduleRan' | 'SchedulePaused' | 'ScheduleDeleted'>
type EventRecord = RecordOf<'TriggerSet' | 'TriggerPaused' | 'TriggerDeleted' | 'EventEmitted'>

/** A line about a schedule, or about a job that is a run of it. */
export function scheduleLine(id: string, record: ScheduleRecord): string | undefined {
  if (record.kind === 'ScheduleRan' && record.job === id) return `is a run of the schedule ${record.schedule}`
  if ((record.kind === 'ScheduleSet' ? record.spec.schedule : record.schedule) !== id) return undefined
  switch (record.kind) {
    case 'ScheduleSet':
      return `made: ${record.spec.cron === '' ? `every ${record.spec.everyMs} ms` : record.spec.cron}`
    case 'ScheduleTicked':
      return `its tick of ${momentOf(record.atMs)} ${record.outcome === 'queued' ? 'waits for a run' : record.outcome}, the next is at ${momentOf(record.nextAtMs)}`
    case 'ScheduleRan':
      return `submitted ${record.job}${record.queued ? ', which had waited' : ''}`
    case 'SchedulePaused':
      return record.paused ? 'paused' : 'resumed'
    case 'ScheduleDeleted':
      return 'deleted'
  }
}

/** A line about a trigger, a job that is a run of it, or an event by its name or id. */
export function eventLine(id: string, record: EventRecord): string | undefined {
  if (record.kind !== 'EventEmitted') {
    if ((record.kind === 'TriggerSet' ? record.spec.trigger : record.trigger) !== id) return undefined
    if (record.kind === 'TriggerDeleted') return 'deleted'
    if (record.kind === 'TriggerPaused') return record.paused ? 'paused' : 'resumed'
    const { event, key, name } = record.spec
    return `made: ${event}${key === '' ? '' : ` with the key ${key}`} starts ${name}`
  }
  const { event, key, started } = record
  const what = `event ${event}, id ${record.id}${key === '' ? '' : `, with the key ${key}`}`
  const trigger = started.find(one => `${one}@${record.id}` === id)
  if (trigger !== undefined) return `is a run of the trigger ${trigger}: ${what}`
  if (started.includes(id)) return `submitted ${id}@${record.id}: ${what}`
  if (id !== event && id !== record.id) return undefined
  const whom = started.length === 0 ? 'no run' : started.map(one => `${one}@${record.id}`).join(', ')
  return `${what}, ${record.payload === undefined ? 'received by nobody' : `${record.bytes} bytes, started ${whom}`}`
}
