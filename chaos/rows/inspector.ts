// Owns the way into a running Node process: SIGUSR1 opens its inspector, as Node documents it.
// Must not wait for what it evaluates: a loop that is blocked does not answer.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { WebSocket } from 'ws'
import { until } from '../../test/faults/harness.ts'
import { processState } from '../run.ts'

const inspectorUrl = 'http://127.0.0.1:9229/json/list'

/** Sends one command; resolves with the answer's text if there is one. */
async function ask(url: string, expression: string, answered: boolean): Promise<string> {
  const socket = new WebSocket(url)
  await once(socket, 'open')
  const answer = answered ? once(socket, 'message') : undefined
  socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } }))
  if (!answer) {
    // Closed in good order, what was sent arrives; nobody waits for the answer.
    socket.close()
    return ''
  }
  const [data] = (await answer) as [Buffer]
  socket.terminate()
  return data.toString()
}

/** Has a process evaluate an expression that takes long; resolves with a proof as soon as it is at it. */
export async function evaluateIn(pid: number, expression: string): Promise<string> {
  process.kill(pid, 'SIGUSR1')
  const url = await until(`the inspector of pid ${pid}`, async () => {
    const targets = (await (await fetch(inspectorUrl)).json()) as { webSocketDebuggerUrl: string }[]
    for (const { webSocketDebuggerUrl } of targets)
      if ((await ask(webSocketDebuggerUrl, 'process.pid', true)).includes(`"value":${pid},`)) return webSocketDebuggerUrl
    return undefined
  })
  const ticksBefore = userTicks(pid)
  await ask(url, expression, false)
  const ticks = await until(`pid ${pid} spins`, () => {
    const used = userTicks(pid) - ticksBefore
    return used >= spinTicksMin && used
  })
  return `pid ${pid} (state ${processState(pid)}) used ${ticks} ticks of processor time in its loop`
}

/** Half a second of processor time. */
const spinTicksMin = 50

function userTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[11])
}
