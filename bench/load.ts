// Owns the two loads that ours and others are compared under: one call after the other, and so many at a time.
// Must not know what is called; whoever gives the call checks its result.

/** Workflows under way at the same time, ours and theirs. */
export const workflowsInFlight = 64
/** How long one round is. */
const roundMsFull = 3000
const roundMsSmoke = 150

type Call = (input: number) => Promise<unknown>

/** Calls one after the other; the milliseconds that each took. */
export async function oneByOne(smoke: boolean, call: Call): Promise<number[]> {
  const took: number[] = []
  const untilMs = performance.now() + (smoke ? roundMsSmoke : roundMsFull)
  for (let input = 0; performance.now() < untilMs; input++) {
    const startedMs = performance.now()
    await call(input)
    took.push(performance.now() - startedMs)
  }
  return took
}

/** Calls per second with `inFlight` of them under way at all times. */
export async function callsPerSecond(smoke: boolean, inFlight: number, call: Call): Promise<number> {
  const startedMs = performance.now()
  const forMs = smoke ? roundMsSmoke : roundMsFull
  let calls = 0
  const caller = async (): Promise<void> => {
    while (performance.now() - startedMs < forMs) await call(calls++)
  }
  await Promise.all(Array.from({ length: inFlight }, caller))
  return (calls * 1000) / (performance.now() - startedMs)
}
