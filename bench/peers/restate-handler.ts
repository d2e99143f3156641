// Owns the process with the handler that Restate calls: one durable step that gives back its input.
// Must not do anything else.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { RestateOrder } from './restate.ts'

interface Context {
  run(name: string, step: () => number): Promise<number>
}

/** What is used of the package. */
interface Restate {
  service(definition: { name: string; handlers: { run(context: Context, input: number): Promise<number> } }): object
  endpoint(): { bind(service: object): { listen(port: number): Promise<unknown> } }
}

process.once('message', async ({ folder, port }: RestateOrder) => {
  const restate = createRequire(join(folder, 'package.json'))('@restatedev/restate-sdk') as Restate
  const service = restate.service({
    name: 'bench',
    handlers: { run: async (context, input) => await context.run('step', () => input) },
  })
  await restate.endpoint().bind(service).listen(port)
  process.send!('ready')
})
