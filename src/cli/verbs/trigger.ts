// Owns `cox trigger pause|resume|delete NAME`.
// Must not make one: programs do, with `cluster.on`.
import type { Command } from 'commander'
import { declareChanges } from '../changes.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  declareChanges(program, 'trigger', 'on-order', {
    pause: {
      summary: 'events start nothing until it is resumed; what runs goes on',
      done: 'paused',
      act: (cluster, name) => cluster.trigger(name).pause(),
    },
    resume: { summary: 'events start it again, from now on', done: 'starts again', act: (cluster, name) => cluster.trigger(name).resume() },
    delete: { summary: 'forgets it; what runs goes on', done: 'deleted', act: (cluster, name) => cluster.trigger(name).delete() },
  })
}
