// Owns the power losses of a leader on the real SQLite store: its writes are traced once, and each disk that a power loss may leave is led on from.
// Must not believe its own tracing: what the trace says at its end has to be what is on the disk.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { RandomStream } from '../../simulator/kernel/random.ts'
import { look } from '../journal-kills.ts'
import { Disk, type Image } from './images.ts'
import { type Act, actsIn, tracedCalls } from './writes.ts'

const writer = fileURLToPath(new URL('../journal-writer.ts', import.meta.url))
const atOnce = 2
const bytesShownMax = 3_000_000
/** What one image in so many keeps of what was not synced: nothing, all, and shares between. */
const shares = [0, 0.5, 0.9, 1, 0.1]
const problemsMax = 20

/** What came of all power losses. */
export interface LossReport {
  acts: number
  syncs: number
  images: number
  /** Disks that differ from what was written by something that was lost. */
  lossy: number
  acknowledged: number
  problems: string[]
}

async function tracedWriter(base: string): Promise<{ acts: Act[]; folder: string }> {
  const folder = join(base, 'journal')
  const path = join(base, 'trace')
  const args = ['-f', '-qq', '-y', '-xx', '-s', String(bytesShownMax), '-o', path, '-e', `trace=${tracedCalls.join(',')}`]
  const child = spawn('strace', [...args, process.execPath, writer, folder], { stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`the writer under strace ended with ${code}`)
  return { acts: actsIn(readFileSync(path, 'latin1'), folder), folder }
}

/** Where the disk that follows from the trace is not the one that is there. */
function untrue(acts: readonly Act[], folder: string): string[] {
  const disk = new Disk()
  for (const act of acts) disk.do(act)
  const image = disk.image(() => 0, 1)
  const names = readdirSync(folder).filter(name => !name.endsWith('-shm'))
  const wrong = names.filter(name => !image.get(name)?.equals(readFileSync(join(folder, name))))
  return [...wrong, ...[...image.keys()].filter(name => !names.includes(name))]
}

function same(one: Image, other: Image): boolean {
  return one.size === other.size && [...one].every(([name, bytes]) => other.get(name)?.equals(bytes))
}

interface Loss {
  name: string
  image: Image
  acknowledged: string[]
  lossy: boolean
}

/** Power losses all along the trace, `count` of them or a few more. */
function* losses(acts: readonly Act[], count: number, seed: number): Generator<Loss> {
  const random = new RandomStream(seed, 'power')
  const perAct = Math.max(1, Math.ceil(count / acts.length))
  const step = Math.max(1, Math.floor(acts.length / count))
  const disk = new Disk()
  const acknowledged: string[] = []
  for (const [at, act] of acts.entries()) {
    disk.do(act)
    if (act.what === 'acknowledge') acknowledged.push(act.line)
    if (at % step !== 0) continue
    const all = disk.image(() => 0, 1)
    for (let i = 0; i < perAct; i++) {
      const kept = shares[(at + i) % shares.length]!
      const image = disk.image(() => random.number(), kept)
      const where = 'path' in act ? `${act.what} ${act.path || 'folder'}` : `"${act.line}"`
      yield { name: `act ${at} (${where}), ${kept} kept`, image, acknowledged: [...acknowledged], lossy: !same(image, all) }
    }
  }
}

async function ledOn({ name, image, acknowledged }: Loss, base: string, number: number): Promise<string[]> {
  const folder = join(base, `image-${number}`)
  mkdirSync(folder, { mode: 0o700 })
  for (const [file, bytes] of image) writeFileSync(join(folder, file), bytes, { mode: 0o600 })
  try {
    const problems = await look(
      folder,
      acknowledged.filter(line => line !== 'closed'),
    )
    return problems.map(problem => `${name}: ${problem}`)
  } catch (error) {
    return [`${name}: ${String(error)}`]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Makes about `count` power losses, chosen by `seed`, and looks at what each leaves. `unsynced`: as if files of such names were never synced, which
 * has to show.
 */
export async function losePower(count: number, seed: number, unsynced?: RegExp): Promise<LossReport> {
  const base = mkdtempSync(join(tmpdir(), 'cox-chaos-power-'))
  const report: LossReport = { acts: 0, syncs: 0, images: 0, lossy: 0, acknowledged: 0, problems: [] }
  try {
    const { acts, folder } = await tracedWriter(base)
    report.acts = acts.length
    report.syncs = acts.filter(act => act.what === 'sync').length
    for (const name of untrue(acts, folder)) report.problems.push(`${name} is not on the disk what the trace says: the tracing is wrong`)
    const honest = acts.filter(act => act.what !== 'sync' || !unsynced?.test(act.path))
    const all = losses(honest, count, seed)
    const take = async (): Promise<void> => {
      for (const loss of all) {
        const number = report.images++
        if (loss.lossy) report.lossy++
        report.acknowledged += loss.acknowledged.length
        report.problems.push(...(await ledOn(loss, base, number)))
        if (report.problems.length > problemsMax) return
      }
    }
    await Promise.all(Array.from({ length: atOnce }, take))
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
  return report
}

/** The same in a process of its own, whose threads share what they compiled: a store has new threads for each disk, and most of the time went into that. */
export async function losePowerApart(count: number, seed: number): Promise<LossReport> {
  const cache = mkdtempSync(join(tmpdir(), 'cox-chaos-compiled-'))
  try {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), String(count), String(seed)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
    })
    return JSON.parse(await text(child.stdout)) as LossReport
  } finally {
    rmSync(cache, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const [count, seed] = process.argv.slice(2).map(Number)
  process.stdout.write(JSON.stringify(await losePower(count!, seed!)))
}
