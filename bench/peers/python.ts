// Owns the peers that are used from Python (Ray, Dask, Spark): each script beside this file prints its figures as JSON lines.
// Must not install them: they are measured where they are there. COX_BENCH_PYTHON names the interpreter, python3 by default.
import { fileURLToPath } from 'node:url'
import type { Figure, Peer } from '../bar.ts'
import { runProgram } from '../program.ts'

const peerTimeoutMs = 600_000

function peer(name: string, module: string, packageName: string, title: string): Peer {
  const python = process.env[`COX_BENCH_PYTHON_${name.toUpperCase()}`] ?? process.env['COX_BENCH_PYTHON'] ?? 'python3'
  return {
    name,
    title,
    async measure({ smoke }) {
      try {
        await runProgram(python, ['-c', `import ${module}`])
      } catch {
        throw new Error(`${python} has no ${module} (pip install ${packageName})`)
      }
      const script = fileURLToPath(new URL(`./${name}-peer.py`, import.meta.url))
      const output = await runProgram(python, [script, smoke ? 'smoke' : 'full'], process.env, peerTimeoutMs)
      return output
        .split('\n')
        .filter(line => line.startsWith('{'))
        .map(line => JSON.parse(line) as Figure)
    },
  }
}

/** All of them. */
export const pythonPeers: readonly Peer[] = [
  peer('ray', 'ray', 'ray', 'Ray, local cluster of 2 cpus, no-op tasks in waves of 1,000'),
  peer('dask', 'distributed', 'distributed', 'Dask distributed, 2 worker processes, map and gather'),
  peer('spark', 'pyspark', 'pyspark', 'Spark, local[2], one job of many no-op tasks in the JVM'),
]
