// Owns what gives mutants the right to a worker's blocks: a client of the real leader asks for it, so that they come behind the first refusal.
// Must not make it by itself.
import { makeNodeTransport } from '../src/platform/node/index.ts'
import {
  clientToLeader,
  decodeMessage,
  encodeMessage,
  hello,
  leaderToClient,
  limits,
  protocolVersion,
  release,
  type WorkerAddress,
} from '../src/protocol/index.ts'

/** The session that capabilities are for. */
export const session = 'session-0'
const transport = makeNodeTransport()

/** Asks whoever leads where its worker is, until somebody says so. */
export async function askForGrant(address: () => string): Promise<WorkerAddress> {
  for (;;) {
    const worker = await ask(address())
    if (worker) return worker
    await new Promise<void>(resolve => void setImmediate(resolve))
  }
}

/** The answer of this leader; undefined if it goes, or does not have its worker yet. */
function ask(address: string): Promise<WorkerAddress | undefined> {
  return new Promise(resolve => {
    let greeted = false
    const connection = transport.connect(address, 'user', limits.frameBytesMax, {
      opened() {
        const greeting = { protocol: protocolVersion, release, role: 'client' as const, name: 'fuzz', cluster: '', epochSeen: 0, session }
        connection.send(encodeMessage(hello, greeting))
      },
      frame(bytes) {
        if (!greeted) {
          greeted = true
          return connection.send(encodeMessage(clientToLeader, { kind: 'ask', request: 1, view: 'locate', argument: '' }))
        }
        const message = decodeMessage(leaderToClient, bytes)
        if (message.kind !== 'view') return
        resolve((JSON.parse(message.body) as WorkerAddress[]).find(one => one.worker === 'w1'))
        connection.close('that was all')
      },
      closed: () => resolve(undefined),
    })
  })
}
