// Owns running a program as one step of a script: its output is kept and shown only where it failed.
// Must not decide what follows from a failure.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The project's root folder, with a slash at its end. */
export const root = fileURLToPath(new URL('../', import.meta.url))

/** How a step ended. */
export interface StepResult {
  name: string
  ok: boolean
  output: string
  tookMs: number
}

/** Runs a program in the project's root to its end; the output of both streams is collected. */
export function runStep(
  name: string,
  command: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<StepResult> {
  const startedMs = performance.now()
  return new Promise(resolve => {
    const child = spawn(command, args, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const collect = (piece: Buffer): void => {
      output += piece.toString('utf8')
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.on('error', error => resolve({ name, ok: false, output: error.message, tookMs: performance.now() - startedMs }))
    child.on('close', code => resolve({ name, ok: code === 0, output, tookMs: performance.now() - startedMs }))
  })
}

/** One line for people: the step, how it ended, how long it took. */
export function stepLine(result: { name: string; ok: boolean; tookMs: number }): string {
  return `${result.ok ? '✔' : '✖'} ${result.name} (${(result.tookMs / 1000).toFixed(1)} s)\n`
}
