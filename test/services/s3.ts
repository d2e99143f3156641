// Owns a real S3 server for tests: Versity's gateway over a folder, which checks signatures and conditions.
// Must not stand in for it where it is not installed: tests skip, and say so.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

const access = 'coxswain-test'
const secret = 'coxswain-test-secret'

/** The program, or undefined: COX_TEST_S3, or what was built into the folder of services. */
function s3Program(): string | undefined {
  const named = process.env['COX_TEST_S3']
  if (named) return named
  const folder = join(homedir(), '.cache', 'coxswain-services')
  const found = existsSync(folder) ? readdirSync(folder).filter(name => name.startsWith('versitygw-')) : []
  return found.map(name => join(folder, name, 'versitygw')).findLast(path => existsSync(path))
}

/** Why tests with S3 are skipped, or false. */
export const noS3: string | false = s3Program() ? false : 'SKIPPED: no S3 server is installed (versitygw, or COX_TEST_S3)'

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

/** A running server with the bucket `test`. */
export class S3Server {
  readonly endpoint: string
  readonly folder: string
  #child: ChildProcess

  private constructor(port: number, folder: string) {
    this.endpoint = `http://127.0.0.1:${port}`
    this.folder = folder
    this.#child = this.#spawn(port)
  }

  #spawn(port: number): ChildProcess {
    const args = ['--port', `127.0.0.1:${port}`, '--health', '/health', 'posix', join(this.folder, 'buckets')]
    const environment = { PATH: process.env['PATH'], ROOT_ACCESS_KEY: access, ROOT_SECRET_KEY: secret }
    return spawn(s3Program()!, args, { stdio: 'ignore', env: environment })
  }

  static async start(): Promise<S3Server> {
    const folder = mkdtempSync(join(tmpdir(), 'cox-s3-'))
    mkdirSync(join(folder, 'buckets', 'test'), { recursive: true })
    const server = new S3Server(await freePort(), folder)
    await server.#ready()
    return server
  }

  /** Asked until it answers: it has no other way to say so. */
  async #ready(): Promise<void> {
    for (;;) {
      if (this.#child.exitCode !== null) throw new Error(`the S3 server ended with ${this.#child.exitCode}`)
      try {
        if ((await fetch(`${this.endpoint}/health`)).ok) return
      } catch {
        // It does not listen yet.
      }
      await new Promise(setImmediate)
    }
  }

  /** Variables by which Amazon's tools and libraries find it. */
  get environment(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL_S3: this.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: access,
      AWS_SECRET_ACCESS_KEY: secret,
    }
  }

  /** Its process is gone; what it stored is there. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = new Promise(resolve => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await ended
  }

  /** The same server, once more. */
  async again(): Promise<void> {
    this.#child = this.#spawn(Number(new URL(this.endpoint).port))
    await this.#ready()
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
