// Owns other processes on a journal's folder, as tests speak with them: a line there, a line back, and signals; and that none outlives its test.
// Must not wait for a time: only for what the other process says.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from './sqlite-place.ts'

/** Another process that runs a script of this folder. */
export class Child {
  readonly process: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(script: string, ...args: string[]) {
    const path = fileURLToPath(new URL(script, import.meta.url))
    this.process = spawn(process.execPath, [path, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    // A killed one does not read what it was told last.
    this.process.stdin!.on('error', () => undefined)
    this.#lines = createInterface({ input: this.process.stdout! })[Symbol.asyncIterator]()
  }

  /** Its next line. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    assert.notEqual(done, true, 'the other process ended')
    return value
  }

  /** Its next line that begins with this word, without the word; those before it are passed over. */
  async until(word: string): Promise<string[]> {
    for (;;) {
      const [first, ...rest] = (await this.line()).split(' ')
      if (first === word) return rest
    }
  }

  /** Tells it a line. */
  tell(line: string): void {
    this.process.stdin!.write(`${line}\n`)
  }

  /** Tells it a line and waits for the line that answers it. */
  ask(line: string): Promise<string> {
    this.tell(line)
    return this.line()
  }

  stop(): void {
    this.process.kill('SIGSTOP')
  }

  resume(): void {
    this.process.kill('SIGCONT')
  }

  /** Kills it and waits until it is gone; gives its last lines. */
  async kill(): Promise<string[]> {
    this.process.kill('SIGKILL')
    const last: string[] = []
    for (let next = await this.#lines.next(); next.done !== true; next = await this.#lines.next()) last.push(next.value)
    await this.ended()
    return last
  }

  /** Waits until it has ended, by itself or by a signal. */
  async ended(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, 'exit')
  }
}

/** A folder for each test of a `describe`, and the processes on it: they are killed, and it is removed, when the test ends. */
export class ChildrenOnFolder {
  folder = ''
  readonly #children: Child[] = []

  /** To be made within the `describe`. */
  constructor() {
    beforeEach(() => {
      this.folder = temporaryFolder()
    })
    afterEach(async () => {
      for (const child of this.#children.splice(0)) await child.kill()
      rmSync(this.folder, { recursive: true, force: true })
    })
  }

  /** Another process on the folder. */
  start(script: string, ...args: string[]): Child {
    const child = new Child(script, this.folder, ...args)
    this.#children.push(child)
    return child
  }
}
