// Owns the question whether a folder can hold a journal: a local disk, ours, writable.
// Must not touch what is in it.
import { constants } from 'node:fs'
import { access, chmod, mkdir, open, readFile, realpath, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CoxswainError } from '../../protocol/errors.ts'

/** What `statfs` calls file systems whose locks or syncs reach beyond this machine (Linux). */
const networkMagic = new Map<number, string>([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0x01021997, '9p'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x564c, 'NetWare'],
  [0x00c36400, 'Ceph'],
  [0x47504653, 'GPFS'],
  [0x0bd00bd0, 'Lustre'],
  [0x7461636f, 'OCFS2'],
  [0x01161970, 'GFS2'],
  [0x19830326, 'BeeGFS'],
  [0x20030528, 'OrangeFS'],
  [0xaad7aaea, 'PanFS'],
  [0xbacbacbc, 'VMware shared folders'],
  [0x786f4256, 'VirtualBox shared folders'],
])

const fuseMagic = 0x65735546

/** FUSE file systems that are known to lie on a local disk; any other may be a network. */
const localFuse = new Set(['fuseblk', 'fuse.ext2', 'fuse.ext4', 'fuse.ntfs', 'fuse.ntfs-3g', 'fuse.bindfs', 'fuse.gocryptfs', 'fuse.encfs'])

/** The name of the network file system with this magic number, or undefined for a local one. `mountType` is the mount table's word for it. */
export function networkFileSystem(magic: number, mountType: string | undefined): string | undefined {
  const known = networkMagic.get(magic >>> 0)
  if (known !== undefined) return known
  if (magic >>> 0 !== fuseMagic) return undefined
  if (mountType !== undefined && localFuse.has(mountType)) return undefined
  return mountType ?? 'FUSE'
}

/** The type of the file system that a real path is on, from the text of `/proc/self/mountinfo`; the longest mount point wins, of equal ones the last. */
export function mountTypeOf(path: string, mountTable: string): string | undefined {
  let best = -1
  let type: string | undefined
  for (const line of mountTable.split('\n')) {
    const [mount, rest] = line.split(' - ')
    const point = mount?.split(' ')[4]?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
    if (point === undefined || rest === undefined || point.length < best) continue
    const inside = path === point || path.startsWith(point.endsWith('/') ? point : `${point}/`)
    if (!inside) continue
    best = point.length
    type = rest.split(' ')[0]
  }
  return type
}

function unusable(folder: string, why: string, cause?: unknown): CoxswainError {
  return new CoxswainError('STATE_FOLDER_UNUSABLE', `The folder ${folder} cannot hold the journal: ${why}.`, { id: folder, cause })
}

async function refuseNetwork(folder: string): Promise<void> {
  if (process.platform !== 'linux') return
  const { type } = await statfs(folder)
  const mountTable = type >>> 0 === fuseMagic ? await readFile('/proc/self/mountinfo', 'utf8').catch(() => '') : ''
  const name = networkFileSystem(type, mountTypeOf(await realpath(folder), mountTable))
  if (name === undefined) return
  throw new CoxswainError('NETWORK_FILE_SYSTEM', `The folder ${folder} is on a network file system (${name}).`, { id: folder })
}

async function makeFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (made === undefined) return
  const parent = await open(dirname(made), 'r')
  try {
    await parent.sync()
  } finally {
    await parent.close()
  }
}

const plainWords: Record<string, string> = {
  EACCES: 'this user may not write to it',
  EPERM: 'this user may not write to it',
  EROFS: 'its file system is read-only',
  ENOSPC: 'its disk is full',
  ENOTDIR: 'it, or one above it, is not a folder',
  EEXIST: 'it is not a folder',
  ENOENT: 'it is not there',
  ELOOP: 'its links go in circles',
  ENAMETOOLONG: 'its path is too long',
}

function inWords(folder: string, error: unknown): CoxswainError {
  if (error instanceof CoxswainError) return error
  const { code, message } = error as NodeJS.ErrnoException
  return unusable(folder, (code !== undefined && plainWords[code]) || message, error)
}

/** Makes the folder if need be (mode 0700) and throws unless a journal can be kept there. */
export async function prepareFolder(folder: string): Promise<void> {
  try {
    await makeFolder(folder)
    const { uid, mode } = await stat(folder)
    const self = process.getuid?.()
    if (self !== undefined && uid !== self) throw unusable(folder, `it belongs to user ${uid}, and this process runs as user ${self}`)
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    await refuseNetwork(folder)
    if ((mode & 0o077) !== 0 && process.platform !== 'win32') await chmod(folder, 0o700)
  } catch (error) {
    throw inWords(folder, error)
  }
}

/** Throws unless the folder is there and can be read. */
export async function checkFolder(folder: string): Promise<void> {
  try {
    if (!(await stat(folder)).isDirectory()) throw unusable(folder, 'it is not a folder')
    await access(folder, constants.R_OK | constants.X_OK)
    await refuseNetwork(folder)
  } catch (error) {
    throw inWords(folder, error)
  }
}
