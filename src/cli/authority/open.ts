// Owns putting together what a process needs that is a node of several machines. Must not start or stop the process.
import type { NodeAct, NodeOptions } from '../../leader/index.ts'
import { NodeFolder } from './folder.ts'
import { type KeeperPlatform, NodeKeeper } from './keeper.ts'
import { LocalAuthority } from './local-authority.ts'

/** A node, as its process starts. */
export interface OpenNode {
  /** Its identity, which renews itself: `Security` of the platform, and `identity` of an agent. */
  keeper: NodeKeeper
  /** Only of a candidate: what it leads with. */
  nodes: NodeOptions | undefined
}

/** Opens the node in this folder; undefined where nothing was joined: then it is a cluster of one machine. Throws STATE_FOLDER_UNUSABLE for keys open to others. */
export async function openNode(path: string, platform: KeeperPlatform, audit?: (act: NodeAct) => void): Promise<OpenNode | undefined> {
  const folder = new NodeFolder(path)
  if (!folder.node()) return undefined
  const keeper = new NodeKeeper(folder, platform)
  keeper.start()
  if (keeper.node.role !== 'candidate') return { keeper, nodes: undefined }
  const authority = new LocalAuthority(folder, keeper, () => platform.clock.wallMs())
  await authority.prepare()
  const founding = authority.founding()
  return { keeper, nodes: { authority, identity: keeper, ...(founding && { founding }), ...(audit && { audit }) } }
}
