// Owns etcd's lock, as its lock service gives it: one member with fsync, one lease that is kept for all grants as a session would.
// Must not measure the lease: a client has it once.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Figure, latencyFigures, type Peer, type Rounds, repeated } from '../bar.ts'
import { oneByOne } from '../load.ts'
import { runProgram } from '../program.ts'
import { bytesField, fieldsOf, GrpcClient, numberField } from './grpc.ts'
import { cacheFolder } from './packages.ts'
import { answers, dataFolder, freePort, Service } from './service.ts'

const version = '3.6.16'
const leaseSeconds = 600n
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

/** The program, built from its Go module where it is not there yet; undefined where there is no Go to build it with. */
async function program(): Promise<string | undefined> {
  const path = join(cacheFolder('etcd'), `etcd-${version}`)
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

async function measure(how: Rounds): Promise<Figure[]> {
  const path = await program()
  if (path === undefined) throw new Error('etcd is not built yet, and there is no Go on the PATH to build it with (1.26 or newer)')
  const folder = dataFolder('etcd')
  const [client, peer] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`]
  const settings = {
    name: 'bench',
    'data-dir': join(folder, 'data'),
    'log-level': 'error',
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `bench=${peer}`,
  }
  const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`)
  await using _server = await Service.start(path, args, folder, () => answers(`${client}/health`))
  using grpc = new GrpcClient(client)
  const granted = await grpc.call('/etcdserverpb.Lease/LeaseGrant', numberField(1, leaseSeconds))
  const lease = numberField(2, granted.get(2) as bigint)
  const name = bytesField(1, Buffer.from('bench'))
  let revision = 0n
  const call = async (): Promise<void> => {
    const locked = await grpc.call('/v3lockpb.Lock/Lock', name, lease)
    const now = fieldsOf(locked.get(1) as Uint8Array).get(3) as bigint
    if (now <= revision) throw new Error(`etcd's revision ${now} came after ${revision}`)
    revision = now
    await grpc.call('/v3lockpb.Lock/Unlock', bytesField(1, locked.get(2) as Uint8Array))
  }
  return latencyFigures(await repeated(how, () => oneByOne(how.smoke, call)))
}

export const etcdLock: Peer = {
  name: 'etcd',
  title: "etcd's lock service, one member, fsync on",
  // Twice as fast.
  bar: { at: 0.5, side: 'at most' },
  measure,
}
