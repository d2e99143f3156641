// Owns real PostgreSQL servers for tests: made in a temporary folder, run as a user without rights, ended with the test.
// Must not touch the machine's own databases, and must not wait for a time: only for what the server says.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { Client } from 'pg'

const run = promisify(execFile)
const debianFolder = '/usr/lib/postgresql'
const connectionsMax = 200
const ready = 'database system is ready to accept'

/** The folder of the server's programs: COX_TEST_POSTGRES_BIN, else the newest that Debian installed; undefined without any. */
function programs(): string | undefined {
  const named = process.env['COX_TEST_POSTGRES_BIN']
  const versions = existsSync(debianFolder) ? readdirSync(debianFolder).sort((one, other) => Number(other) - Number(one)) : []
  const folders = named === undefined ? versions.map(version => join(debianFolder, version, 'bin')) : [named]
  return folders.find(folder => existsSync(join(folder, 'initdb')))
}

/** False where a server can be started; else why not, for `skip`. */
export const postgresMissing: string | false =
  programs() === undefined ? 'PostgreSQL IS NOT INSTALLED: set COX_TEST_POSTGRES_BIN to the folder of its programs' : false

/** False where a server can have a certificate; else why not. */
export function certificatesMissing(): string | false {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'openssl IS NOT INSTALLED: no certificate can be made'
  }
}

/** PostgreSQL refuses to run as root: then it runs as its own user, else as nobody. */
function owner(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const idOf = (option: string, user: string): number => Number(execFileSync('id', [option, user], { stdio: ['ignore', 'pipe', 'ignore'] }))
  for (const user of ['postgres', 'nobody']) {
    try {
      return { uid: idOf('-u', user), gid: idOf('-g', user) }
    } catch {
      // The next one.
    }
  }
  throw new Error('this machine has no user to run PostgreSQL as')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** How a server is started. */
export interface PostgresSettings {
  /** Off by default: only tests that kill the server need it. */
  fsync?: 'on' | 'off'
  /** With a certificate for localhost that it signed itself. */
  tls?: boolean
}

/** One server. */
export class TestPostgres {
  readonly port: number
  readonly #bin: string
  readonly #folder: string
  readonly #settings: readonly string[]
  #process: ChildProcess | undefined

  private constructor(bin: string, folder: string, port: number, settings: readonly string[]) {
    this.#bin = bin
    this.#folder = folder
    this.port = port
    this.#settings = settings
  }

  /** Makes a new one and starts it. */
  static async start(settings: PostgresSettings = {}): Promise<TestPostgres> {
    const server = await TestPostgres.#made(settings)
    if (settings.tls) {
      const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '2']
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', join(server.#folder, 'key.pem')]
      await run('openssl', ['req', '-x509', ...names, ...key, '-out', server.certificate], { ...owner(), cwd: server.#folder })
    }
    await server.#run('initdb', ['-D', server.#data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'])
    writeFileSync(
      join(server.#data, 'pg_hba.conf'),
      'local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n',
    )
    await server.begin()
    return server
  }

  /** Makes a standby of this one, which follows it, and starts it. */
  async standby(): Promise<TestPostgres> {
    const standby = await TestPostgres.#made({ fsync: 'off' })
    const from = ['-h', '127.0.0.1', '-p', String(this.port), '-U', 'postgres']
    await standby.#run('pg_basebackup', [...from, '-D', standby.#data, '-R', '--checkpoint=fast', '--no-sync'])
    await standby.begin()
    return standby
  }

  static async #made({ fsync = 'off', tls = false }: PostgresSettings): Promise<TestPostgres> {
    const folder = mkdtempSync(join(tmpdir(), 'cox-postgres-'))
    const as = owner()
    if (as) chownSync(folder, as.uid, as.gid)
    const files = tls ? ['ssl=on', `ssl_cert_file=${join(folder, 'certificate.pem')}`, `ssl_key_file=${join(folder, 'key.pem')}`] : []
    return new TestPostgres(programs()!, folder, await freePort(), [`fsync=${fsync}`, `full_page_writes=${fsync}`, ...files])
  }

  get #data(): string {
    return join(this.#folder, 'data')
  }

  /** The file of its certificate, if it has one. */
  get certificate(): string {
    return join(this.#folder, 'certificate.pem')
  }

  /** The journal's address in a schema, and with a user if one is named. */
  url(schema: string, user = 'postgres'): string {
    return `postgres://${user}@127.0.0.1:${this.port}/postgres?schema=${schema}`
  }

  /** Starts it again after `kill` or `stop`, and waits until it says that it is ready. */
  async begin(): Promise<void> {
    const fixed = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', `max_connections=${connectionsMax}`]
    const args = ['-D', this.#data, '-p', String(this.port), ...[...fixed, ...this.#settings].flatMap(setting => ['-c', setting])]
    const child = spawn(join(this.#bin, 'postgres'), args, { ...owner(), cwd: this.#folder, env: {}, stdio: ['ignore', 'ignore', 'pipe'] })
    this.#process = child
    const lines = createInterface({ input: child.stderr! })
    const said: string[] = []
    const answer = new Promise<void>((resolve, reject) => {
      lines.on('line', line => {
        said.push(line)
        if (line.includes(ready)) resolve()
      })
      child.on('exit', () => reject(new Error(`PostgreSQL did not start:\n${said.join('\n')}`)))
    })
    await answer
  }

  /** Runs SQL on a connection of its own. */
  async sql<T extends object>(text: string, values: unknown[] = []): Promise<T[]> {
    const client = new Client({ host: '127.0.0.1', port: this.port, user: 'postgres', database: 'postgres' })
    await client.connect()
    try {
      return (await client.query<T>(text, values)).rows
    } finally {
      await client.end()
    }
  }

  /** Runs SQL in a transaction that stays open until it is released. */
  hold(text: string): { begun: Promise<void>; release(): Promise<void> } {
    const client = new Client({ host: '127.0.0.1', port: this.port, user: 'postgres', database: 'postgres' })
    const begin = async (): Promise<void> => {
      await client.connect()
      await client.query('BEGIN')
      await client.query(text)
    }
    return { begun: begin(), release: () => client.end() }
  }

  /** Asks with SQL until the one value that comes back is true. */
  async until(text: string, values: unknown[] = []): Promise<void> {
    const client = new Client({ host: '127.0.0.1', port: this.port, user: 'postgres', database: 'postgres' })
    await client.connect()
    try {
      while ((await client.query({ text, values, rowMode: 'array' })).rows[0]?.[0] !== true);
    } finally {
      await client.end()
    }
  }

  /** From now on this user shows who it is in this way. */
  async allow(user: string, method: string): Promise<void> {
    const path = join(this.#data, 'pg_hba.conf')
    writeFileSync(path, `host all ${user} 127.0.0.1/32 ${method}\n${readFileSync(path, 'utf8')}`)
    await this.sql('SELECT pg_reload_conf()')
    await this.until(`SELECT EXISTS (SELECT 1 FROM pg_hba_file_rules WHERE auth_method = $1)`, [method])
  }

  /** Kills the server with all its processes, as a power cut would end them. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Fast shutdown: clients are cut off. */
  async stop(): Promise<void> {
    await this.#end('SIGINT')
  }

  /** All processes of the server stand still. */
  pause(): void {
    for (const pid of this.#pids()) process.kill(pid, 'SIGSTOP')
  }

  resume(): void {
    for (const pid of this.#pids()) process.kill(pid, 'SIGCONT')
  }

  async remove(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #end(signal: 'SIGKILL' | 'SIGINT'): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    // Its processes end by themselves when they find that their parent is gone, and with them the pipe.
    const closed = once(child, 'close')
    child.kill(signal)
    await closed
  }

  /** The server and its children. */
  #pids(): number[] {
    const parent = this.#process!.pid!
    const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
    return [parent, ...children]
  }

  async #run(program: string, args: readonly string[]): Promise<void> {
    await run(join(this.#bin, program), args, { ...owner(), cwd: this.#folder, env: {} })
  }
}
