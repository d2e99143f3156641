// Owns `cox schedule pause|resume|trigger|delete NAME`.
// Must not make one: programs do, with `cluster.schedule`.
import type { Command } from 'commander'
import { declareChanges } from '../changes.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  declareChanges(program, 'schedule', 'nightly', {
    pause: {
      summary: 'no more ticks until it is resumed; what runs goes on',
      done: 'paused',
      act: (cluster, name) => cluster.scheduled(name).pause(),
    },
    resume: { summary: 'ticks again, from now on', done: 'ticks again', act: (cluster, name) => cluster.scheduled(name).resume() },
    trigger: { summary: 'runs it now, besides its ticks', done: 'runs now', act: (cluster, name) => cluster.scheduled(name).trigger() },
    delete: { summary: 'forgets it; what runs goes on', done: 'deleted', act: (cluster, name) => cluster.scheduled(name).delete() },
  })
}
