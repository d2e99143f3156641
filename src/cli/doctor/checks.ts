// Owns the checks of `cox doctor` and their order.
// Must not print, and no check may keep another from being made.
import { release } from '../../protocol/index.ts'
import { Home } from '../state/home.ts'
import { checkDisk, checkFileSystem, checkFolder, checkSync } from './disk.ts'
import { checkClock, checkMemory, checkNode, checkOpenFiles } from './machine.ts'
import { checkCluster, checkLoopback, checkPort } from './network.ts'

/** What a check found. */
export interface Finding {
  state: 'ok' | 'warn' | 'fail'
  text: string
  /** What to do about it, where it is not ok. */
  advice?: string
}

/** A finding with the name of its check. */
export interface CheckResult extends Finding {
  name: string
}

/** All is well. */
export function ok(text: string): Finding {
  return { state: 'ok', text }
}

/** Runs every check; one that fails to run is a failed check. */
export async function runChecks(port: number | undefined): Promise<CheckResult[]> {
  const home = new Home()
  const checks: [string, () => Finding | Promise<Finding>][] = [
    ['release', () => ok(`Coxswain ${release} on ${process.platform}-${process.arch}`)],
    ['node', checkNode],
    ['memory', checkMemory],
    ['open files', checkOpenFiles],
    ['clock', checkClock],
    ['state folder', () => checkFolder(home)],
    ['file system', () => checkFileSystem(home)],
    ['disk space', () => checkDisk(home)],
    ['fsync', () => checkSync(home)],
    ['loopback', checkLoopback],
    ...(port === undefined ? [] : [['port', () => checkPort(port)] as [string, () => Promise<Finding>]]),
    ['cluster', () => checkCluster(home)],
  ]
  const results: CheckResult[] = []
  for (const [name, check] of checks) {
    try {
      results.push({ name, ...(await check()) })
    } catch (error) {
      results.push({
        name,
        state: 'fail',
        text: `The check itself failed: ${(error as Error).message}`,
        advice: 'Report this with the output of `cox doctor --json`.',
      })
    }
  }
  return results
}
