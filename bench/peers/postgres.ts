// Owns a PostgreSQL of its own for the peers that need one, with the settings it comes with: fsync and synchronous commits are on.
// Must not touch the machine's own databases.
import { execFile, type SpawnOptions } from 'node:child_process'
import { chownSync, existsSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { dataFolder, freePort, Service } from './service.ts'

const run = promisify(execFile)
const debianFolder = '/usr/lib/postgresql'
const connectionsMax = 200

/** The folder of its programs; undefined where it is not installed. */
function programs(): string | undefined {
  const onPath = (process.env['PATH'] ?? '').split(':')
  const versions = existsSync(debianFolder) ? readdirSync(debianFolder).sort((one, other) => Number(other) - Number(one)) : []
  return [...onPath, ...versions.map(version => join(debianFolder, version, 'bin'))].find(folder => existsSync(join(folder, 'initdb')))
}

/** PostgreSQL refuses to run as root: then it runs as its own user. */
async function owner(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const id = async (option: string): Promise<number> => Number((await run('id', [option, 'postgres'])).stdout)
  return { uid: await id('-u'), gid: await id('-g') }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

/** A server, and the address of a database in it that is not made yet. */
export async function startPostgres(): Promise<{ service: Service; url: string }> {
  const folder = programs()
  if (folder === undefined) throw new Error('PostgreSQL is not installed (on Debian: apt-get install postgresql)')
  const as = await owner()
  const data = dataFolder('postgres')
  if (as) chownSync(data, as.uid, as.gid)
  const options: SpawnOptions = { ...as, cwd: data, env: { PATH: process.env['PATH'], HOME: data } }
  const database = join(data, 'data')
  const initial = ['-D', database, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C']
  await run(join(folder, 'initdb'), initial, { ...as, cwd: data, env: { PATH: process.env['PATH'], HOME: data } })
  const port = await freePort()
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', `max_connections=${connectionsMax}`]
  const args = ['-D', database, '-p', String(port), ...settings.flatMap(setting => ['-c', setting])]
  const service = await Service.start(join(folder, 'postgres'), args, data, () => isOpen(port), options)
  return { service, url: `postgres://postgres@127.0.0.1:${port}/dbos` }
}
