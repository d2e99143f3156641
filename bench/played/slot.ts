// Owns what one attempt takes on a played worker.
// Must not be room for any other task: real ones belong on real workers.

/** A resource that only played workers offer. */
export const slotResource = 'bench-slot'

/** So much of each resource has one attempt; the memory of all together is too little for a task that does not ask for less than usual. */
export const slot = { cpus: 0.01, memoryBytes: 1024, amount: 0.001 } as const
