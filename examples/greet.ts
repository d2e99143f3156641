// Shows the smallest whole program: a task, one call, many calls, and a job with an id of its own.
// Run it with: node examples/greet.ts (it starts a cluster for itself where none is up). In your own project import from 'coxswain'.
import { connect, task } from '../src/index.ts'

export const greet = task({
  name: 'greet',
  timeout: '10s',
  run({ name }: { name: string }, ctx) {
    ctx.log(`greeting ${name}, attempt ${ctx.attempt}`)
    return `Hello, ${name}!`
  },
})

if (import.meta.main) {
  await using cluster = await connect()

  console.log(await cluster.run(greet, { name: 'Ada' }))

  const names = ['Grace', 'Barbara', 'Frances'].map(name => ({ name }))
  for await (const greeting of cluster.map(greet, names)) console.log(greeting)

  const job = await cluster.submit(greet, { name: 'Margaret' }, { id: 'greet-margaret' })
  console.log(job.id, await job.result())
}
