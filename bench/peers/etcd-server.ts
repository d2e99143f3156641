// Owns etcd servers for benches: built from etcd's Go module, one member or three on this machine, fsync on.
// Must not keep anything of a run.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from '../program.ts'
import { bytesField, type GrpcClient, numberField } from './grpc.ts'
import { cacheFolder } from './packages.ts'
import { answers, dataFolder, freePort, Service } from './service.ts'

const version = '3.6.16'
const noProgram = 'etcd is not built yet, and there is no Go on the PATH to build it with (1.26 or newer)'
const buildTimeoutMs = 600_000

/** `go install` refuses etcd, because its go.mod has replace lines: so it is built as a part of this. */
const source = `package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
`

function builtPath(): string {
  return join(cacheFolder('etcd'), `etcd-${version}`)
}

/** The program, built from its Go module where it is not there yet; undefined where there is no Go to build it with. */
async function program(): Promise<string | undefined> {
  const path = builtPath()
  if (existsSync(path)) return path
  try {
    await runProgram('go', ['version'])
  } catch {
    return undefined
  }
  const folder = mkdtempSync(join(tmpdir(), 'coxswain-bench-go-'))
  const go = async (...args: string[]): Promise<unknown> =>
    await runProgram('go', ['-C', folder, ...args], { ...process.env, CGO_ENABLED: '0' }, buildTimeoutMs)
  try {
    writeFileSync(join(folder, 'main.go'), source)
    await go('mod', 'init', 'coxswain/bench')
    await go('get', `go.etcd.io/etcd/server/v3@v${version}`)
    await go('mod', 'tidy')
    await go('build', '-trimpath', '-o', path, '.')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return path
}

/** Why there can be no etcd here, or undefined; builds it where it is not built yet, but not for a smoke. */
export async function whyNoEtcd(smoke: boolean): Promise<string | undefined> {
  if (smoke && !existsSync(builtPath())) return 'etcd is not built yet, and a smoke does not build it'
  try {
    return (await program()) === undefined ? noProgram : undefined
  } catch (error) {
    return `etcd could not be built: ${(error as Error).message.split('\n', 1)[0]}`
  }
}

/** Running members of one cluster. */
export class EtcdServers implements AsyncDisposable {
  /** Such as `http://127.0.0.1:2379`, one for each member. */
  readonly endpoints: readonly string[]
  readonly #members: readonly Service[]

  private constructor(endpoints: readonly string[], members: readonly Service[]) {
    this.endpoints = endpoints
    this.#members = members
  }

  /** Starts so many; rejects with what to install. */
  static async start(count: number): Promise<EtcdServers> {
    const path = await program()
    if (path === undefined) throw new Error(noProgram)
    const places: { name: string; client: string; peer: string }[] = []
    for (let member = 0; member < count; member++)
      places.push({ name: `member${member}`, client: `http://127.0.0.1:${await freePort()}`, peer: `http://127.0.0.1:${await freePort()}` })
    const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join(',')
    const members = await Promise.all(
      places.map(({ name, client, peer }) => {
        const folder = dataFolder(`etcd-${name}`)
        const settings = {
          name,
          'data-dir': join(folder, 'data'),
          'log-level': 'error',
          'listen-client-urls': client,
          'advertise-client-urls': client,
          'listen-peer-urls': peer,
          'initial-advertise-peer-urls': peer,
          'initial-cluster': cluster,
        }
        const args = Object.entries(settings).map(([key, value]) => `--${key}=${value}`)
        return Service.start(path, args, folder, () => answers(`${client}/health`))
      }),
    )
    const endpoints = places.map(({ client }) => client)
    return new EtcdServers(endpoints, members)
  }

  /** The address of a journal there. */
  journal(prefix: string): string {
    return `etcd://${this.endpoints.map(one => one.replace('http://', '')).join(',')}/${prefix}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.#members) await member[Symbol.asyncDispose]()
  }
}

/** One transaction as an append of one task would be: a key that must not be there yet is written. Rejects where it was. */
export async function oneTransaction(grpc: GrpcClient, key: string, value: Uint8Array): Promise<void> {
  const name = bytesField(3, Buffer.from(key))
  // Its version is 0: it was never written.
  const compare = bytesField(1, Buffer.concat([numberField(1, 0n), numberField(2, 0n), name, numberField(4, 0n)]))
  const put = bytesField(2, bytesField(2, Buffer.concat([bytesField(1, Buffer.from(key)), bytesField(2, value)])))
  const answer = await grpc.call('/etcdserverpb.KV/Txn', compare, put)
  if (answer.get(2) !== 1n) throw new Error(`etcd did not write ${key}`)
}
