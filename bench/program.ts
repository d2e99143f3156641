// Owns running another program to its end.
// Must not know which.
import { spawn } from 'node:child_process'

const commandTimeoutMs = 60_000

/** Runs a program to its end and gives what it wrote on stdout; throws with all it wrote where it failed. */
export function runProgram(
  command: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
  timeoutMs = commandTimeoutMs,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString('utf8')))
    child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString('utf8')))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(stdout)
      else reject(new Error(`${command} ${args.join(' ')} ended with ${signal ?? code}:\n${stdout}${stderr}`))
    })
  })
}
