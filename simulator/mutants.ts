// Owns the planted bugs: small changes of production sources, made while they are loaded into a simulator's process and nowhere else.
// Must not change a file, and must fail loudly where a source has moved on from under a mutant.
import { registerHooks } from 'node:module'
import { laterBugs } from './bugs.ts'
import { flowBugs } from './flow-bugs.ts'
import { type Mutant, one } from './mutant.ts'

/** All planted bugs. */
export const mutants: readonly Mutant[] = [
  one(
    'no-fence',
    'the journal takes an append of whoever leads no more, wherever it stands',
    'src/journal/memory-store.ts',
    'if (!current || append.epoch === 0 || append.firstIndex !== disk.lastIndex + 1) {',
    'if (append.epoch === 0 || (current && append.epoch < 0)) {',
  ),
  one(
    'ack-before-durable',
    'answers go out before their facts are durable',
    'src/leader/loop.ts',
    'const whenDurable = listener.turnEnded()',
    'const whenDurable = listener.turnEnded(); answer(); turn.replies.length = 0',
  ),
  one(
    'results-before-durable',
    'results are told before they are durable',
    'src/leader/outbox.ts',
    'for (const send of now) send()',
    'for (const send of now) send(); for (const send of durable.splice(0)) send()',
  ),
  one(
    'no-dedupe',
    'a job that is submitted again with another content is taken for the same',
    'src/core/jobs/decide.ts',
    "return known.plan.contentHash === contentHash ? 'same' : 'another'",
    "return 'same'",
  ),
  one(
    'no-acknowledged-results-kept',
    'a worker is told to forget results before they are durable',
    'src/leader/outbox.ts',
    'for (const send of now) send()',
    "for (const send of now) send(); for (const [worker, lanes] of acknowledged) this.#links.workers.get(worker)?.sendInOrder({ kind: 'acknowledge', lanes: [...lanes].map(([lane, count]) => ({ lane, count })) })",
  ),
  one(
    'reservation-leak',
    'the reservation of a lane that is given back is not released',
    'src/core/tasks/apply.ts',
    'if (!lane.vacated) endReservation(state, lane)',
    'if (!lane.vacated && lane.done > 0) endReservation(state, lane)',
  ),
  one(
    'no-comeback',
    'a new leader hands out at once what may be running already',
    'src/leader/comeback.ts',
    'if (this.#waiting === undefined) return handOut()',
    'if (this.#expected) return handOut()',
  ),
  one(
    'no-adoption',
    'what a dead leader handed out is never adopted',
    'src/core/membership/reconcile.ts',
    'adoption.lane(report.lane, report.runs)',
    'undefined',
  ),
  one(
    'client-forgets-requests',
    'a client does not repeat its requests after a reconnect',
    'src/client/session.ts',
    'this.#link.send(one.frame)',
    'void one.frame',
  ),
  one(
    'client-forgets-jobs',
    'a client does not watch its jobs again after a reconnect',
    'src/client/session.ts',
    'for (const [job, watched] of again) this.#watchAgain(job, watched)',
    'void again',
  ),
  one(
    'poison-for-ever',
    'tasks that kill are never quarantined',
    'src/core/tasks/failures.ts',
    'deaths >= limits.deathsMax && mayRetry',
    'deaths < 0',
  ),
  one(
    'retries-count-twice',
    'a failed attempt is counted twice against the retries',
    'src/core/tasks/apply.ts',
    'if (!free) trouble.counted++',
    'if (!free) trouble.counted += 2',
  ),
  one(
    'read-before-durable',
    'questions are answered before what they tell is durable',
    'src/leader/clients.ts',
    "this.#context.loop.whenDurable(() => this.#link.send({ kind: 'view', request, body }))",
    "this.#link.send({ kind: 'view', request, body })",
  ),
  one(
    'lane-numbers-again',
    'lanes are numbered from the start again after a takeover',
    'src/core/tasks/apply.ts',
    'Math.max(state.tasks.nextLane, (lane.id % 2 ** 32) + 1)',
    '1',
  ),
  one(
    'new-cluster-each-time',
    'each leader makes a new cluster',
    'src/leader/claim.ts',
    'cluster: state.cluster || claimant.cluster || platform.random.uuid()',
    'cluster: platform.random.uuid()',
  ),
  one(
    'results-of-cancelled',
    'results of cancelled jobs are taken',
    'src/core/tasks/decide.ts',
    "if (job.state !== 'running') add(count, undefined)",
    'if (false) add(count, undefined)',
  ),
  one(
    'cancel-not-resent',
    'a worker that comes back does not hear what was cancelled',
    'src/leader/workers.ts',
    'this.#resendCancels()\n    this.#resendDrain()',
    'this.#resendDrain()',
  ),
  one(
    'no-silence',
    'a worker that is silent is never given up',
    'src/leader/sessions.ts',
    'else if (session.detector.dead(nowMs)) {',
    'else if (nowMs < 0) {',
  ),
  one(
    'inputs-dropped-early',
    'inputs are dropped while tasks may need them again',
    'src/core/jobs/accounts.ts',
    'if (segment.needed > 0) continue',
    'if (segment.needed > 1) continue',
  ),
  one(
    'snapshot-misses-lanes',
    'a snapshot forgets which lane numbers were given',
    'src/core/snapshot.ts',
    'state.tasks.nextLane = nextLane',
    'void nextLane',
  ),
  ...laterBugs,
  ...flowBugs,
]

/** Plants a bug: to be called before anything of `src` is imported. */
export function plant(name: string): void {
  const mutant = mutants.find(candidate => candidate.name === name)
  if (!mutant) throw new Error(`there is no mutant ${name}`)
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      const changes = mutant.changes.filter(change => url.endsWith(`/${change.file}`))
      if (changes.length === 0) return loaded
      let source = String(loaded.source)
      for (const { file, find, replace } of changes) {
        if (!source.includes(find)) throw new Error(`the mutant ${name} finds no place in ${file}: ${find}`)
        source = source.replace(find, () => replace)
      }
      return { ...loaded, source }
    },
  })
}
