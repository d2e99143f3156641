// Owns a cluster for one bar: started and stopped by the CLI as a user would, in a state folder of its own.
// Must not reach into the cluster by any other way than the CLI and the SDK.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cluster, connect } from '../src/index.ts'
import { runProgram } from './program.ts'

/** A cluster in the background. */
export class ClusterProcess {
  readonly home: string
  readonly #cox: readonly string[]

  constructor(cox: readonly string[]) {
    this.#cox = cox
    this.home = mkdtempSync(join(tmpdir(), 'coxswain-bench-'))
  }

  /** Runs a verb of the CLI against this cluster, and gives what it printed. */
  run(args: readonly string[], timeoutMs?: number): Promise<string> {
    return runProgram(process.execPath, [...this.#cox, ...args], { ...process.env, COX_HOME: this.home, NO_COLOR: '1' }, timeoutMs)
  }

  /** Starts it; tasks can run when this resolves. */
  async up(options: readonly string[]): Promise<void> {
    await this.run(['up', '--detach', ...options])
  }

  /** An SDK connection to it. */
  async connect(): Promise<Cluster> {
    // The SDK finds the local cluster by its state folder, as it does for users.
    process.env['COX_HOME'] = this.home
    return await connect()
  }

  async down(): Promise<void> {
    try {
      await this.run(['down', '--force'])
    } finally {
      rmSync(this.home, { recursive: true, force: true })
    }
  }
}
