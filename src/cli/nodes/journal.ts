// Owns which journal a candidate opens: in its state folder, in etcd or in PostgreSQL, sealed where there is a key.
// Must not know what is in it.
import { type Inspectable, openPostgresStore, openSqliteStore, type Store, sealedStore } from '../../journal/index.ts'
import type { Platform } from '../../platform/index.ts'
import type { Sealer } from '../../protocol/index.ts'
import type { Home } from '../state/home.ts'

/** Where the journal is, and what is needed to get there. No secrets: files that hold them. */
export interface JournalPlace {
  /** `sqlite`, or an address that begins with etcd://, etcds:// or postgres://. */
  journal: string
  etcdCaFile?: string
  etcdCertFile?: string
  etcdKeyFile?: string
  etcdPasswordFile?: string
  allowUnsafeEtcd?: boolean
  postgresPasswordFile?: string
}

/** Less than an append may take altogether, so that it is sent again while there is time. */
const callWithinMs = 1000

/** True if candidates on several machines can share it. */
export function isShared({ journal }: JournalPlace): boolean {
  return journal !== 'sqlite'
}

/** Opens it; with a sealer what it holds is encrypted, and without one a journal that was encrypted is refused. */
export async function openJournal(
  home: Home,
  place: JournalPlace,
  sealer: Sealer | undefined,
  log: Platform['log'],
): Promise<Store & Inspectable> {
  return sealedStore(await openPlain(home, place, log), sealer)
}

async function openPlain(home: Home, place: JournalPlace, log: Platform['log']): Promise<Store & Inspectable> {
  const { journal, etcdCaFile: caFile, etcdCertFile: certFile, etcdKeyFile: keyFile, etcdPasswordFile: passwordFile } = place
  if (!isShared(place)) return openSqliteStore({ folder: home.journal, log })
  if (!/^etcds?:/.test(journal)) return openPostgresStore({ url: journal, passwordFile: place.postgresPasswordFile, log })
  const files = {
    ...(caFile !== undefined && { caFile }),
    ...(certFile !== undefined && { certFile }),
    ...(keyFile !== undefined && { keyFile }),
    ...(passwordFile !== undefined && { passwordFile }),
  }
  const { etcdOptions, openEtcd, openEtcdStore, parseEtcdAddress } = await import('../../journal/etcd/index.ts')
  const etcd = openEtcd({ ...etcdOptions(parseEtcdAddress(journal), files), callWithinMs, log })
  return openEtcdStore({ etcd, log, allowUnsafe: place.allowUnsafeEtcd === true })
}
