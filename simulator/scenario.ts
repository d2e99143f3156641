// Owns what a run is: its size, knobs, workloads and faults, as plain data drawn from a seed. The same data is the same run.
// Must not run anything.
import { RandomStream } from './kernel/random.ts'

/** Something bad that begins at a time, and ends after another if it lasts. */
export interface Fault {
  atMs: number
  kind: FaultKind
  /** A node's name, `leader` for whoever leads then, or empty. */
  target: string
  forMs: number
  /** How bad, from 0 to 1. */
  share: number
}

export const faultKinds = [
  'crash-candidate',
  'crash-worker',
  'crash-client',
  'power-loss',
  'pause',
  'reset',
  'cut-in',
  'cut-out',
  'clog',
  'slow-network',
  'slow-disk',
  'disk-fails',
  'disk-unsure',
  'disk-full',
  'worker-disk-full',
  'clock-jump',
  'stale-endpoint',
  'executors-fail',
  'drain',
  'hand-over',
] as const
/** Faults of a store in etcd alone, drawn apart from all others. */
export const storeFaultKinds = ['store-cut', 'store-down', 'store-stale', 'store-lease-lies', 'store-compacted'] as const
export type FaultKind = (typeof faultKinds)[number] | (typeof storeFaultKinds)[number]

/** Faults that cost no worker, connection or executor: what runs, runs on. In some runs there are no others. */
export const harmlessKinds: ReadonlySet<FaultKind> = new Set(['crash-candidate', 'crash-client', 'clock-jump', 'slow-disk', 'hand-over'])

/** A node that is not in the healthy core: from the end of the faults on it stays like this for ever. */
export interface Outsider {
  node: string
  how: 'dead' | 'paused' | 'cut-in' | 'cut-out' | 'cut'
}

export interface Scenario {
  seed: number
  candidates: number
  workers: number
  clients: number
  /** Where the journal is kept: in memory (so in all schedules that do not say), or in a simulated etcd by the real backend for it. */
  store?: 'memory' | 'etcd'
  /** The store lets one process lead at a time, as SQLite's does; else a claim deposes, as in etcd. */
  locking: boolean
  /** How much faster or slower the nodes' clocks run, at most. */
  drift: number
  knobs: Knobs
  workloads: string[]
  /** Fault classes that are on. */
  classes: FaultKind[]
  faults: Fault[]
  /** Who does not recover when the others do. Clients always do, and at least one candidate and one worker. */
  outsiders: Outsider[]
  safetyMs: number
  livenessMs: number
}

/** Limits that are made tiny in some runs. */
export interface Knobs {
  snapshotRecords: number
  rowBytesKept: number
  laneTasksMax: number
  laneAheadMs: number
  assignTasksMax: number
  openTasksMax: number
  resultGraceMs: number
  finishedJobsMax: number
  workerCpus: number
  /** Of the store, if it is a slow one. */
  readMs?: number
}

export const workloadNames = [
  'runs',
  'submits',
  'arrays',
  'maps',
  'cancels',
  'retries',
  'poison',
  'resubmits',
  'flows',
  'registers',
  'locks',
  'schedules',
  'commits',
  'events',
  'limits',
] as const

function drawKnobs(random: RandomStream, seed: number): Knobs {
  return {
    snapshotRecords: random.pick([5, 20, 100, 100_000]),
    rowBytesKept: random.pick([0, 4 << 10, 64 << 10, 64 << 20]),
    laneTasksMax: random.pick([1, 3, 50, 8000]),
    laneAheadMs: random.pick([5, 40]),
    assignTasksMax: random.pick([1, 7, 2000]),
    openTasksMax: random.pick([300, 20_000_000]),
    resultGraceMs: 60_000,
    // In half of the runs finished jobs go into the history at once, or nearly.
    finishedJobsMax: new RandomStream(seed, 'retention').pick([10_000, 10_000, 0, 3]),
    workerCpus: random.pick([1, 2, 4]),
    readMs: random.pick([0.05, 0.05, 0.05, 5, 60]),
  }
}

/** How often a fault of each kind comes, and how long it lasts. */
function drawFaults(random: RandomStream, scenario: Omit<Scenario, 'faults' | 'outsiders'>): Fault[] {
  const names = {
    candidate: Array.from({ length: scenario.candidates }, (_, i) => `c${i + 1}`),
    worker: Array.from({ length: scenario.workers }, (_, i) => `w${i + 1}`),
    client: Array.from({ length: scenario.clients }, (_, i) => `u${i + 1}`),
  }
  const anyone = [...names.candidate, ...names.worker, ...names.client]
  const leader = (): string => (random.chance(0.7) ? 'leader' : random.pick(names.candidate))
  const faults: Fault[] = []
  const add = (kind: FaultKind, target: string, forMs: number, share = random.number()): void => {
    faults.push({ atMs: Math.round(300 + random.number() * (scenario.safetyMs - 300)), kind, target, forMs: Math.round(forMs), share })
  }
  for (const kind of scenario.classes) {
    for (let count = random.whole(1, kind.startsWith('crash') ? 5 : 3); count > 0; count--) {
      const lasts = random.chance(0.7) ? random.exponential(700) : random.exponential(4000)
      if (kind === 'crash-candidate') add(kind, leader(), 50 + random.exponential(500))
      else if (kind === 'crash-worker' || kind === 'worker-disk-full' || kind === 'drain')
        add(kind, random.pick(names.worker), 50 + random.exponential(700))
      else if (kind === 'crash-client') add(kind, random.pick(names.client), 50 + random.exponential(500))
      else if (kind === 'pause') add(kind, random.chance(0.5) ? leader() : random.pick(anyone), lasts)
      else if (kind === 'reset' || kind.startsWith('cut') || kind === 'clog')
        add(kind, random.chance(0.4) ? leader() : random.pick(anyone), lasts)
      else if (kind === 'clock-jump') add(kind, random.pick(anyone), 0)
      else add(kind, '', lasts)
    }
  }
  return faults.sort((one, other) => one.atMs - other.atMs)
}

/** Faults of a store in etcd. In gentle runs there are none: what it does then must cost nothing. */
function drawStoreFaults({ seed, candidates, safetyMs }: Pick<Scenario, 'seed' | 'candidates' | 'safetyMs'>): Fault[] {
  const random = new RandomStream(seed, 'store faults')
  const faults: Fault[] = []
  for (const kind of storeFaultKinds.filter(() => random.chance(classShare))) {
    for (let count = random.whole(1, 3); count > 0; count--) {
      const target = kind !== 'store-cut' ? '' : random.chance(0.7) ? 'leader' : `c${random.whole(1, candidates)}`
      const forMs = Math.round(random.chance(0.7) ? random.exponential(700) : random.exponential(4000))
      faults.push({ atMs: Math.round(300 + random.number() * (safetyMs - 300)), kind, target, forMs, share: random.number() })
    }
  }
  return faults
}

/** Adds what only a store in etcd has. Nothing else of the scenario is drawn otherwise for it. */
function inEtcd(scenario: Scenario, gentle: boolean): Scenario {
  const own = gentle ? [] : drawStoreFaults(scenario)
  return {
    ...scenario,
    store: 'etcd',
    locking: false,
    classes: [...new Set([...scenario.classes, ...own.map(({ kind }) => kind)])],
    faults: [...scenario.faults, ...own].sort((one, other) => one.atMs - other.atMs),
  }
}

/** How likely a class of faults is on; in runs that have few classes to choose from it is more likely. */
const classShare = 0.35
const gentleClassShare = 0.6
/** How many runs have only faults that cost no worker: there nothing may run twice. */
const gentleShare = 0.25
/** How many runs keep their journal in etcd. */
const etcdShare = 0.4
/** How many runs leave some nodes out of the healthy core. */
const outsidersShare = 0.4

/** Candidates of one machine are dead or stopped; workers may also be cut off, both ways or one way. */
function drawOutsiders({ seed, candidates, workers }: Pick<Scenario, 'seed' | 'candidates' | 'workers'>): Outsider[] {
  const random = new RandomStream(seed, 'outsiders')
  if (!random.chance(outsidersShare)) return []
  const outsiders: Outsider[] = []
  for (let number = candidates; number > 1; number--) {
    if (random.chance(0.5)) outsiders.push({ node: `c${number}`, how: random.pick(['dead', 'paused']) })
  }
  for (let number = workers; number > 1; number--) {
    if (random.chance(0.5)) outsiders.push({ node: `w${number}`, how: random.pick(['dead', 'paused', 'cut-in', 'cut-out', 'cut']) })
  }
  return outsiders
}

/** The scenario of a seed. */
export function drawScenario(seed: number): Scenario {
  const random = new RandomStream(seed, 'scenario')
  const gentle = random.chance(gentleShare)
  const classes = faultKinds.filter(kind => random.chance(gentle ? gentleClassShare : classShare) && (!gentle || harmlessKinds.has(kind)))
  const workloads = workloadNames.filter(() => random.chance(0.45))
  const scenario = {
    seed,
    candidates: random.whole(1, 3),
    workers: random.whole(1, 4),
    clients: random.whole(1, 3),
    locking: random.chance(0.5),
    drift: gentle || random.chance(0.5) ? 0 : 0.15,
    knobs: drawKnobs(random, seed),
    workloads: workloads.length > 0 ? [...workloads] : ['runs'],
    classes,
    safetyMs: random.whole(4000, 12_000),
    livenessMs: 120_000,
  }
  const drawn: Scenario = { ...scenario, faults: drawFaults(random, scenario), outsiders: drawOutsiders(scenario) }
  return new RandomStream(seed, 'store').chance(etcdShare) ? inEtcd(drawn, gentle) : drawn
}
