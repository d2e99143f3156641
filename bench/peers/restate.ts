// Owns Restate on workflows of one step: its server with the settings it comes with, one process that serves the handler, calls through its ingress.
// Must not switch anything off that makes it durable.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { latencyFigures, type Peer, repeated } from '../bar.ts'
import { callsPerSecond, oneByOne, workflowsInFlight } from '../load.ts'
import { installed } from './packages.ts'
import { answers, dataFolder, freePort, Service } from './service.ts'

const serverVersion = '1.7.12'
const sdkVersion = '1.17.2'

/** Where the process with the handler finds what it needs. */
export interface RestateOrder {
  folder: string
  port: number
}

/** The program for this machine, which npm has chosen. */
function serverPath(folder: string): string {
  return join(folder, 'node_modules/@restatedev', `restate-server-${process.platform}-${process.arch}`, 'bin/restate-server')
}

type Call = (input: number) => Promise<void>

function caller(ingress: string): { call: Call; end(): void } {
  const agent = new Agent({ keepAlive: true })
  const options = { method: 'POST', agent, headers: { 'content-type': 'application/json' } }
  const call: Call = input =>
    new Promise((resolve, reject) => {
      const calling = request(`${ingress}/bench/run`, options, response => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => (text += part))
        response.on('end', () => (text === String(input) ? resolve() : reject(new Error(`Restate gave ${text} for ${input}`))))
      })
      calling.on('error', reject).end(String(input))
    })
  return { call, end: () => agent.destroy() }
}

/** Starts the server and the handler's process, and gives this the call. */
async function withRestate<T>(use: (call: Call) => Promise<T>): Promise<T> {
  const packages = await installed('restate', [`@restatedev/restate-server@${serverVersion}`, `@restatedev/restate-sdk@${sdkVersion}`])
  const folder = dataFolder('restate')
  const [ingressPort, adminPort, nodePort, handlerPort] = [await freePort(), await freePort(), await freePort(), await freePort()]
  const [ingress, admin] = [`http://127.0.0.1:${ingressPort}`, `http://127.0.0.1:${adminPort}`]
  const settings = [
    'node-name = "bench"',
    'cluster-name = "bench"',
    `base-dir = ${JSON.stringify(join(folder, 'state'))}`,
    `bind-address = "127.0.0.1:${nodePort}"`,
    `advertised-address = "http://127.0.0.1:${nodePort}/"`,
    'disable-telemetry = true',
    'log-filter = "error"',
    `[ingress]\nbind-address = "127.0.0.1:${ingressPort}"`,
    `[admin]\nbind-address = "127.0.0.1:${adminPort}"`,
  ]
  writeFileSync(join(folder, 'restate.toml'), `${settings.join('\n')}\n`)
  const ready = async (): Promise<boolean> => (await answers(`${admin}/health`)) && (await answers(`${ingress}/restate/health`))
  await using _server = await Service.start(serverPath(packages), ['--config-file', join(folder, 'restate.toml')], folder, ready)
  const handler = fork(new URL('./restate-handler.ts', import.meta.url), {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    // A line on the terminal for each call would slow it down.
    env: { ...process.env, RESTATE_LOGGING: 'ERROR' },
  })
  const { call, end } = caller(ingress)
  try {
    handler.send({ folder: packages, port: handlerPort } satisfies RestateOrder)
    await once(handler, 'message')
    const body = JSON.stringify({ uri: `http://127.0.0.1:${handlerPort}` })
    const known = await fetch(`${admin}/deployments`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    if (!known.ok) throw new Error(`Restate refused the handler: ${await known.text()}`)
    return await use(call)
  } finally {
    end()
    handler.kill('SIGKILL')
  }
}

export const restateOne: Peer = {
  name: 'restate',
  title: 'Restate, a handler with one durable step, called through its ingress',
  bar: { at: 0.4, side: 'at most' },
  measure: how => withRestate(async call => latencyFigures(await repeated(how, () => oneByOne(how.smoke, call)))),
}

export const restateMany: Peer = {
  name: 'restate',
  title: `Restate, the same, ${workflowsInFlight} in flight`,
  bar: { at: 14, side: 'at least' },
  measure: how =>
    withRestate(async call => [
      { what: 'runs', unit: 'runs/s', values: await repeated(how, () => callsPerSecond(how.smoke, workflowsInFlight, call)) },
    ]),
}
