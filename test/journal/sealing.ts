// Owns places for the suite whose stores are sealed, and keys for tests.
// Must not assert anything.
import type { Place, TestStore } from '../../src/journal/conformance/index.ts'
import { sealedStore } from '../../src/journal/index.ts'
import { type Keyring, openKeyring } from '../../src/platform/node/index.ts'

/** A keyring of keys that are told by their numbers, the first of them first. */
export async function keyring(...numbers: number[]): Promise<Keyring> {
  const keys = numbers.map(number => Buffer.from(Uint8Array.from({ length: 32 }, (_, at) => (at * 7 + number) % 256)).toString('hex'))
  return (await openKeyring({ environment: { COX_ENCRYPTION_KEY: keys.join(' ') } }))!
}

/** The same place, with all that is opened there sealed; each handle has a keyring of its own, as each process would. */
export function sealedPlace(place: Place, ...keys: number[]): Place {
  const beneath = new Map<TestStore, TestStore>()
  const { crash } = place
  return {
    ...place,
    async open() {
      const store = await place.open()
      const sealed = sealedStore(store, await keyring(...keys))
      beneath.set(sealed, store)
      return sealed
    },
    ...(crash && { crash: (store: TestStore) => crash(beneath.get(store)!) }),
  }
}
