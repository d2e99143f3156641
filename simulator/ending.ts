// Owns the end of a run: the write that is tried once all is well, and the view of what is left that the checkers of liveness judge.
// Must not judge.
import { candidateBufferBytesMax, clientBufferBytesMax, workerBufferBytesMax } from '../src/leader/links.ts'
import { Mailbox, mailboxOverrunLettersMax } from '../src/leader/mailbox.ts'
import { limits as wire } from '../src/protocol/index.ts'
import type { JournalChecker } from './checkers/journal.ts'
import { appendsMax, type EndView } from './checkers/liveness.ts'
import { Tools } from './workloads/index.ts'
import { simTask } from './world/program.ts'
import type { World } from './world/world.ts'

/** A write of the world's own. */
export interface Write {
  acknowledgedMs: number | undefined
  /** It was answered, or its client is gone. */
  over: boolean
}

/** A client comes and submits one job. */
export function writeAfterHeal(world: World): Write {
  const write: Write = { acknowledgedMs: undefined, over: false }
  const client = world.addClient('u0')
  client.begin = () => {
    if (write.over) return
    const tools = new Tools(client, world.history, 'write')
    const job = `write-${tools.mark()}`
    const fate = { key: job, ms: 1 }
    tools.expect({ job, fates: [fate], ends: 'succeeded', mayBeCancelled: false })
    const submit = async (): Promise<true> => {
      await tools.cluster.submit(simTask({ retries: 0 }), fate, { id: job })
      return true
    }
    void tools.call('submit', job, JSON.stringify(fate), submit).then(value => {
      write.over = true
      if (value) write.acknowledgedMs = tools.nowMs
    })
  }
  client.start()
  return write
}

/** The most letters that any leader's mailbox held since the last `resetPeaks`. */
let lettersPeak = 0
let mailboxSeen = false

/** A new run begins. */
export function resetPeaks(): void {
  lettersPeak = 0
  if (mailboxSeen) return
  mailboxSeen = true
  const original = Mailbox.prototype.put
  Mailbox.prototype.put = function (this: Mailbox, letter): void {
    original.call(this, letter)
    if (this.size > lettersPeak) lettersPeak = this.size
  }
}

/** What may wait on one connection, by the sorts of its two ends: the product's bound, and the frame that passes it. */
const bufferBounds: Readonly<Record<string, number>> = {
  'c>c': candidateBufferBytesMax + wire.frameBytesMax,
  'c>w': workerBufferBytesMax + wire.frameBytesMax,
  'c>u': clientBufferBytesMax + wire.frameBytesMax,
}
/** Workers and clients send no more than they have under way. */
const otherBoundBytes = clientBufferBytesMax + wire.frameBytesMax

function peaksOf({ network, store }: World): EndView['peaks'] {
  const buffers = [...network.peaks].map(([way, peak]) => ({ what: `bytes ${way}`, peak, bound: bufferBounds[way] ?? otherBoundBytes }))
  return [
    { what: 'appends under way', peak: store.queuedMax, bound: appendsMax },
    { what: 'letters in a mailbox', peak: lettersPeak, bound: mailboxOverrunLettersMax },
    ...buffers,
  ]
}

/** What is left when everything has come to its end: nothing, in a sound cluster. */
function queuesOf({ replayed, network, scenario }: World, journal: JournalChecker): EndView['queues'] {
  const { tasks, delayed, jobs, membership, grants, events } = replayed
  const reserved = [...membership.workers.values()].filter(({ capacity, free }) => JSON.stringify(capacity) !== JSON.stringify(free))
  return {
    'lanes open by the journal': journal.lanes,
    'lanes open': tasks.lanes.size,
    'tasks open': jobs.openTasks,
    'tasks that wait for a retry': delayed.size,
    'workers with reservations': reserved.length,
    'bytes of inputs': jobs.inputBytes,
    'events that steps wait for': events.listeners.size,
    'locks held or waited for': grants.byId.size,
    // What was sent to a node outside of the core waits for ever.
    'bytes stuck on connections': scenario.outsiders.length > 0 ? 0 : network.stuckBytes,
  }
}

/** The view of a run at its end. */
export function viewOf(
  world: World,
  journal: JournalChecker,
  { healedMs, write, workloadsOpen }: { healedMs: number; write: Write; workloadsOpen: number },
): EndView {
  const { leader, kernel } = world
  return {
    healedMs,
    endMs: kernel.nowMs,
    leader: leader && { node: leader.name, alive: leader.alive },
    writtenMs: write.acknowledgedMs,
    workloadsOpen,
    jobsOpen: journal.open,
    applied: world.applied,
    queues: queuesOf(world, journal),
    peaks: peaksOf(world),
  }
}
