// Owns the checks of the state folder and the disk below it.
// Must not open anything in the journal's folder: the probe is a file of its own, beside it.
import { closeSync, existsSync, fdatasyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { bytesText } from '../output/text.ts'
import type { Home } from '../state/home.ts'
import { type Finding, ok } from './checks.ts'

const diskBytesMin = 256 << 20
const diskBytesGood = 2 * 2 ** 30
const probes = 40
const probeBytes = 4096
const slowMs = 10
/** No disk that syncs is faster: its fsync does nothing. */
const impossibleMs = 0.005

/** File systems by the number that statfs gives. The network ones do not keep what the journal needs. */
const kinds: Record<number, string> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  801189825: 'zfs',
  4076150800: 'f2fs',
  2035054128: 'overlayfs',
  16914836: 'tmpfs',
  26: 'apfs',
}
const networkKinds: Record<number, string> = {
  26985: 'NFS',
  20859: 'SMB',
  4283649346: 'CIFS',
  4266872130: 'SMB2',
  16914839: '9p',
  1702057286: 'FUSE',
  1397113167: 'AFS',
  12805120: 'Ceph',
  1196443219: 'GPFS',
  198183888: 'Lustre',
}

/** The folder itself, or the nearest one above it that is there. */
function nearestFolder(path: string): string {
  let folder = path
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}

/** Is the state folder ours and closed to others? */
export function checkFolder(home: Home): Finding {
  const stat = statSync(home.path, { throwIfNoEntry: false })
  if (!stat) return ok(`${home.path} is not there yet; \`cox up\` makes it`)
  const advice = 'Give it to this user with mode 0700, or choose another COX_HOME.'
  if (!stat.isDirectory()) return { state: 'fail', text: `${home.path} is not a folder`, advice }
  const user = process.geteuid?.()
  if (user !== undefined && stat.uid !== user)
    return { state: 'fail', text: `${home.path} belongs to user ${stat.uid}, and this is user ${user}`, advice }
  const mode = (stat.mode & 0o777).toString(8)
  if ((stat.mode & 0o077) !== 0)
    return { state: 'warn', text: `${home.path} is open to others (mode ${mode})`, advice: '`cox up` closes it, or: chmod 700' }
  return ok(`${home.path}, mode ${mode}`)
}

/** Is it a local file system? */
export function checkFileSystem(home: Home): Finding {
  const { type } = statfsSync(nearestFolder(home.path))
  const network = networkKinds[type >>> 0]
  if (network)
    return { state: 'fail', text: `${network} is a network file system`, advice: 'Put the state folder (COX_HOME) on a local disk.' }
  const name = kinds[type >>> 0] ?? `kind 0x${(type >>> 0).toString(16)}`
  if (name === 'tmpfs')
    return {
      state: 'warn',
      text: 'tmpfs is lost when the machine stops',
      advice: 'Choose a COX_HOME on a disk if jobs shall survive that.',
    }
  return ok(name)
}

/** Is there space for journal and blocks? */
export function checkDisk(home: Home): Finding {
  const { bavail, bsize } = statfsSync(nearestFolder(home.path))
  const free = bavail * bsize
  const text = `${bytesText(free)} free`
  if (free >= diskBytesGood) return ok(text)
  const advice = 'Free some space: the journal stops the leader before it loses anything, and large results go to this disk.'
  return { state: free >= diskBytesMin ? 'warn' : 'fail', text, advice }
}

/** How long does the disk take to make something durable? Every call of a task waits for about one of these. */
export function checkSync(home: Home): Finding {
  const path = join(nearestFolder(home.path), `.cox-doctor-${process.pid}.tmp`)
  const bytes = Buffer.alloc(probeBytes, 1)
  const times: number[] = []
  let file: number
  try {
    file = openSync(path, 'wx', 0o600)
  } catch (error) {
    return {
      state: 'fail',
      text: `${dirname(path)} cannot be written (${(error as NodeJS.ErrnoException).code})`,
      advice: 'Choose another COX_HOME.',
    }
  }
  try {
    for (let probe = 0; probe < probes; probe++) {
      const startMs = performance.now()
      writeSync(file, bytes)
      fdatasyncSync(file)
      times.push(performance.now() - startMs)
    }
  } finally {
    closeSync(file)
    rmSync(path, { force: true })
  }
  times.sort((a, b) => a - b)
  const median = times[times.length >> 1]!
  const text = `p50 ${median.toFixed(2)} ms, slowest of ${probes} ${times.at(-1)!.toFixed(2)} ms`
  if (median < impossibleMs)
    return {
      state: 'warn',
      text: `${text}: too fast to be true`,
      advice: 'This disk does not really sync; acknowledged jobs may be lost when the power fails.',
    }
  if (median > slowMs)
    return { state: 'warn', text: `${text}: slow`, advice: 'A local SSD takes well under 1 ms; every call waits for this.' }
  return ok(text)
}
