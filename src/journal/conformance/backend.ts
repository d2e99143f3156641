// Owns what the suite asks of a backend under test.
// Must not hold cases.
import type { JobId, PayloadId } from '../../protocol/index.ts'
import type { Store } from '../journal.ts'
import type { Inspectable } from '../rules.ts'

/** A handle of the backend under test. */
export type TestStore = Store & Inspectable

/** Somewhere empty in which one test's journal is kept, and that several handles share. */
export interface Place {
  open(): Promise<TestStore>
  /** Ends a handle as the death of its process would; without it handles are closed. */
  crash?(store: TestStore): Promise<void>
  /** Changes a byte of what is kept. Called when no handle is open. */
  damage?: {
    row(index: number): Promise<void>
    payload(payload: PayloadId): Promise<void>
    snapshot(index: number): Promise<void>
    history(job: JobId): Promise<void>
  }
  remove(): Promise<void>
}

/** A backend, for the suite. */
export interface Backend {
  name: string
  /** A new place whose `compact` keeps rows up to this size. */
  place(rowBytesKept: number): Promise<Place>
  /** What becomes of a claim while another handle leads: refused with STATE_FOLDER_IN_USE, or it wins and deposes. */
  rivalClaim: 'refused' | 'wins'
  /** Bytes that this backend adds to each payload it is given; 0 if it is not said. */
  bytesPerPayload?: number
  /** Cases that cannot be shown on this backend, each with the reason. */
  skips?: Readonly<Record<string, string>>
}

/** One case of the suite. */
export type Case = (place: Place, backend: Backend) => Promise<void>
