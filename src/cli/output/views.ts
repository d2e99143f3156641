// Owns what jobs, workers and the cluster look like to people. --json prints the views themselves.
// Must not ask the cluster anything.
import type {
  CandidateView,
  JobState,
  JobView,
  LockHolderView,
  LockView,
  Resources,
  ScheduleView,
  StatusView,
  TaskCounts,
  TriggerView,
  WorkerView,
} from '../../protocol/index.ts'
import type { NodeDeath } from '../state/up-file.ts'
import { tableLines } from './table.ts'
import { bytesText, countText, durationText, fit, harmless, millisText, momentText, type Style, styled } from './text.ts'

const nameColumnsMax = 60
const stateStyles: Record<JobState, Style> = { running: 'cyan', succeeded: 'green', failed: 'red', cancelled: 'yellow' }

/** A job's state, in its colour. */
export function stateText(state: JobState): string {
  return styled(stateStyles[state], state)
}

/** Resources for people: only what there is of each. */
export function resourcesText({ cpuMillis, memoryBytes, gpuMillis, named }: Resources): string {
  const parts = [`${millisText(cpuMillis)} cpus`, bytesText(memoryBytes)]
  if (gpuMillis > 0) parts.push(`${millisText(gpuMillis)} gpus`)
  return [...parts, ...named.map(({ name, millis }) => `${name}=${millisText(millis)}`)].join(', ')
}

/** Counts of tasks, without those that are zero. */
export function countsText(counts: TaskCounts): string {
  const parts = (['waiting', 'running', 'succeeded', 'failed', 'cancelled'] as const)
    .filter(state => counts[state] > 0)
    .map(state => `${countText(counts[state])} ${state}`)
  return `${countText(counts.total)} task${counts.total === 1 ? '' : 's'}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`
}

/** The table of jobs. */
export function jobLines(jobs: readonly JobView[]): string[] {
  return tableLines(
    [
      { title: 'JOB', text: job => fit(job.id, nameColumnsMax) },
      { title: 'NAME', text: job => fit(job.name, nameColumnsMax) },
      { title: 'STATE', text: job => (job.cancelling ? 'cancelling' : job.queuedFor === undefined ? job.state : 'queued') },
      { title: 'TASKS', align: 'right', text: job => countText(job.tasks.total) },
      { title: 'DONE', align: 'right', text: job => countText(job.tasks.succeeded) },
      { title: 'FAILED', align: 'right', text: job => countText(job.tasks.failed) },
      { title: 'SUBMITTED', text: job => momentText(job.submittedAtMs).slice(0, 19) },
      {
        title: 'TOOK',
        align: 'right',
        text: job => (job.finishedAtMs === undefined ? '' : durationText(job.finishedAtMs - job.submittedAtMs)),
      },
    ],
    jobs,
  )
}

/** The table of schedules. */
export function scheduleLines(schedules: readonly ScheduleView[]): string[] {
  const moment = (atMs: number | undefined): string => (atMs === undefined ? '' : momentText(atMs).slice(0, 19))
  return tableLines(
    [
      { title: 'SCHEDULE', text: one => fit(one.name, nameColumnsMax) },
      { title: 'RUNS', text: one => fit(one.runs, nameColumnsMax) },
      { title: 'WHEN', text: one => (one.cron === undefined ? `every ${durationText(one.everyMs ?? 0)}` : harmless(one.cron)) },
      { title: 'TIMEZONE', text: one => (one.cron === undefined ? '' : harmless(one.timezone ?? 'UTC')) },
      { title: 'NEXT', text: one => (one.paused ? 'paused' : moment(one.nextAtMs)) },
      { title: 'LAST', text: one => moment(one.lastAtMs) },
      {
        title: 'NOW',
        text: one => (one.running.length === 0 ? '' : `${one.running.length} running${one.queued > 0 ? `, ${one.queued} wait` : ''}`),
      },
      { title: 'RAN', align: 'right', text: one => countText(one.ran) },
      { title: 'SKIPPED', align: 'right', text: one => countText(one.skipped) },
      { title: 'MISSED', align: 'right', text: one => countText(one.missed) },
    ],
    schedules,
  )
}

/** The table of triggers. */
export function triggerLines(triggers: readonly TriggerView[]): string[] {
  return tableLines(
    [
      { title: 'TRIGGER', text: one => fit(one.name, nameColumnsMax) },
      { title: 'EVENT', text: one => fit(one.event, nameColumnsMax) },
      { title: 'KEY', text: one => fit(one.key ?? '', nameColumnsMax) },
      { title: 'RUNS', text: one => fit(one.runs, nameColumnsMax) },
      { title: 'STATE', text: one => (one.paused ? 'paused' : 'ready') },
      { title: 'STARTED', align: 'right', text: one => countText(one.started) },
      { title: 'LAST', text: one => (one.lastAtMs === undefined ? '' : momentText(one.lastAtMs).slice(0, 19)) },
      { title: 'LAST JOB', text: one => harmless(one.lastJob ?? '') },
    ],
    triggers,
  )
}

/** The table of locks: a line for each holder and each of the first who wait. */
export function lockLines(locks: readonly LockView[], nowMs: number): string[] {
  const rows = locks.flatMap(({ name, permits, held, line, waiting }) => {
    const kind = permits === undefined ? '' : ` of ${permits}`
    const more = waiting > line.length ? [{ name, kind, who: `and ${countText(waiting - line.length)} more` }] : []
    return [...[...held, ...line].map(one => ({ name, kind, ...one, who: one.session })), ...more]
  })
  return tableLines<(typeof rows)[number] & Partial<LockHolderView>>(
    [
      { title: 'LOCK', text: row => fit(row.name, nameColumnsMax) },
      { title: 'HELD', text: row => (row.mode === undefined ? '' : row.token === undefined ? 'waits' : `${row.mode}${row.kind}`) },
      { title: 'TOKEN', align: 'right', text: row => (row.token === undefined ? '' : String(row.token)) },
      { title: 'SESSION', text: row => harmless(row.who) },
      { title: 'FOR', align: 'right', text: row => (row.sinceMs === undefined ? '' : durationText(nowMs - row.sinceMs)) },
      { title: 'TTL', align: 'right', text: row => (row.ttlMs === undefined ? '' : durationText(row.ttlMs)) },
    ],
    rows,
  )
}

/** One job in full. */
export function jobText(job: JobView): string[] {
  const also = [
    ...(job.cancelling ? ['being cancelled, its compensations run first'] : []),
    ...(job.paused ? ['paused'] : []),
    ...(job.queuedFor === undefined ? [] : [`queued for ${harmless(job.queuedFor)}`]),
  ]
  const lines = [
    `${styled('bold', harmless(job.id))}  ${harmless(job.name)}  ${[stateText(job.state), ...also.map(text => styled('yellow', text))].join(', ')}`,
    `  submitted  ${momentText(job.submittedAtMs)}${job.detached ? ', goes on without its client' : ''}`,
  ]
  if (job.finishedAtMs !== undefined)
    lines.push(`  finished   ${momentText(job.finishedAtMs)}, after ${durationText(job.finishedAtMs - job.submittedAtMs)}`)
  if (job.reason) lines.push(`  because    ${harmless(job.reason)}`)
  if (job.archived) lines.push('  kept       in the history: how it ended, and its results as far as there is room')
  if (job.labels.length > 0) lines.push(`  labels     ${harmless(job.labels.join(', '))}`)
  if (job.priority !== 0) lines.push(`  priority   ${job.priority}`)
  job.stages.forEach((stage, at) => {
    lines.push(
      `  stage ${at}    ${harmless(stage.task)}: ${countsText(stage.tasks)}${stage.sealed ? '' : ', open'}; each asks for ${resourcesText(stage.resources)}`,
    )
  })
  return lines
}

/** The table of workers. */
export function workerLines(workers: readonly WorkerView[]): string[] {
  const percent = (share: number): string => `${Math.round(share * 100)} %`
  return tableLines(
    [
      { title: 'WORKER', text: worker => fit(worker.id, nameColumnsMax) },
      { title: 'STATE', text: worker => worker.state },
      { title: 'PID', align: 'right', text: worker => String(worker.pid) },
      { title: 'LOAD', align: 'right', text: worker => worker.load.toFixed(2) },
      {
        title: 'CPUS',
        align: 'right',
        text: worker => `${millisText(worker.reserved.cpuMillis)}/${millisText(worker.capacity.cpuMillis)}`,
      },
      {
        title: 'MEMORY',
        align: 'right',
        text: worker => `${bytesText(worker.reserved.memoryBytes)}/${bytesText(worker.capacity.memoryBytes)}`,
      },
      { title: 'TASKS', align: 'right', text: worker => countText(worker.tasks) },
      { title: 'CPU USED', align: 'right', text: worker => percent(worker.cpuShare) },
      { title: 'DISK FREE', align: 'right', text: worker => bytesText(worker.diskFreeBytes) },
      { title: 'LABELS', text: worker => worker.labels.join(',') },
    ],
    workers,
  )
}

/** A line for each candidate, the one that would lead next first behind the leader. */
function candidateLines(candidates: readonly CandidateView[]): string[] {
  const order = { leader: 0, standby: 1, away: 2 }
  return [...candidates]
    .sort((a, b) => order[a.state] - order[b.state] || b.priority - a.priority)
    .map(({ id, state, pid, priority, basePriority, failureRate, lagRecords }, at) => {
      const where = pid > 0 ? `, pid ${pid}` : ''
      const lag = state === 'standby' && lagRecords !== undefined ? `, ${countText(lagRecords)} records behind` : ''
      const rank = `P = ${priority.toFixed(0)} (${basePriority} × (1 − ${failureRate.toFixed(2)}))`
      return `${styled('bold', at === 0 ? 'candidates' : '          ')} ${harmless(id)}: ${state}${where}, ${rank}${lag}`
    })
}

/** The whole cluster. */
export function statusLines(status: StatusView): string[] {
  const { leader, journal, jobs, tasks } = status
  return [
    `${styled('bold', 'cluster')}    ${harmless(status.cluster)}, release ${harmless(status.release)}`,
    `${styled('bold', 'leader')}     ${harmless(leader.id)}, epoch ${leader.epoch}, pid ${leader.pid}, ${harmless(leader.address)}, up ${durationText(leader.upMs)}, ${bytesText(leader.rssBytes)}`,
    ...candidateLines(status.candidates),
    `${styled('bold', 'load')}       L = ${status.load.toFixed(2)} over ${status.workers.length} worker${status.workers.length === 1 ? '' : 's'}`,
    `${styled('bold', 'jobs')}       ${countText(jobs.running)} running, ${countText(jobs.finished)} finished`,
    `${styled('bold', 'tasks')}      ${countText(tasks.waiting)} waiting, ${countText(tasks.running)} running`,
    `${styled('bold', 'journal')}    index ${countText(journal.index)}, ${bytesText(journal.bytes)} in ${countText(journal.rows)} rows, ${bytesText(journal.payloadBytes)} of payloads, append p50 ${journal.appendP50Ms.toFixed(2)} ms`,
    '',
    ...workerLines(status.workers),
  ]
}

/** How nodes died last, the latest first; nothing where none did. */
export function deathLines(deaths: readonly NodeDeath[]): string[] {
  if (deaths.length === 0) return []
  const lines = [...deaths]
    .sort((a, b) => b.atMs - a.atMs)
    .map(({ name, atMs, how, lastWords, leftDown }) => {
      const left = leftDown ? `; ${styled('red', 'LEFT DOWN')}: cox down && cox up` : ''
      return `  ${momentText(atMs).slice(0, 19)}  ${harmless(name)}: ${harmless(how)}${left}${lastWords === '' ? '' : `; last words: ${harmless(lastWords)}`}`
    })
  return ['', styled('bold', 'died'), ...lines]
}
