// Owns reading the entries of spaces: as they are when the question is decided, with their bytes from the store.
// Must not change anything.
import type { Command, Reply } from '../core/index.ts'
import { CoxswainError, type LeaderToClient } from '../protocol/index.ts'
import type { LeaderContext } from './context.ts'

/** Bytes of entries in one answer. */
const entriesBytesMax = 4 << 20

type Question = Extract<Command, { kind: 'readEntries' | 'listEntries' }>
type Answer = Omit<Extract<LeaderToClient, { kind: 'entries' }>, 'kind' | 'request'>

/** Entries as they are now: read behind all that was decided before, and read again where one changed while its bytes were fetched. */
export async function readEntries(context: LeaderContext, question: Question): Promise<Answer> {
  for (;;) {
    const reply = await asked(context, question)
    const entries = await bytesOf(context, reply)
    if (entries) return { entries, next: entries.length < reply.entries.length ? entries.at(-1)!.key : reply.next }
  }
}

function asked(context: LeaderContext, command: Question): Promise<Extract<Reply, { kind: 'entries' }>> {
  return new Promise((resolve, reject) => {
    context.loop.post({
      command,
      bytes: 0,
      reply: reply => {
        if (reply.kind === 'entries') resolve(reply)
        else if (reply.kind === 'refused') reject(reply.error)
      },
    })
  })
}

/** The entries with their bytes, as many as fit into a message; undefined if one of them was changed meanwhile. */
async function bytesOf(context: LeaderContext, { entries }: Extract<Reply, { kind: 'entries' }>): Promise<Answer['entries'] | undefined> {
  const read: Answer['entries'] = []
  let bytes = 0
  for (const { key, version, payload } of entries) {
    if (bytes > entriesBytesMax) break
    try {
      const item = payload === undefined ? undefined : await context.payloads.read(payload, () => false)
      read.push({ key, version, item })
      bytes += item?.length ?? 0
    } catch (error) {
      if (error instanceof CoxswainError && error.code === 'RESULT_GONE') return undefined
      throw error
    }
  }
  return read
}
