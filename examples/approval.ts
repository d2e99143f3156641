// Shows a workflow that waits for a person: a signal with a deadline, and what happens when nobody answers in time.
// Run it with: node examples/approval.ts (it starts a cluster for itself where none is up). In your own project import from 'coxswain'.
import { connect, task, workflow } from '../src/index.ts'

const draft = task({ name: 'draft', run: (title: string) => `"${title}", three pages` })

const publish = task({
  name: 'publish',
  run: ({ text, said }: { text: string; said: { by: string } }) => `${text}: published, approved by ${said.by}`,
})

const shelve = task({ name: 'shelve', run: ({ text, why }: { text: string; why: string }) => `${text}: shelved, ${why}` })

/** A text that is published when somebody approves it within the deadline. */
export const article = workflow({
  name: 'article',
  build(flow, { title, deadline }: { title: string; deadline: `${number}s` | `${number}ms` }) {
    const text = flow.run(draft, title)
    const said = flow.waitFor<{ by: string }>('approved', { timeout: deadline })
    return flow.catch(flow.run(publish, { text, said }), error => flow.run(shelve, { text, why: flow.run(reason, error) }))
  },
})

const reason = task({ name: 'reason', run: ({ code }: { code: string }) => (code === 'SIGNAL_TIMEOUT' ? 'nobody answered' : code) })

if (import.meta.main) {
  await using cluster = await connect()

  const first = await cluster.submit(article, { title: 'Oars', deadline: '60s' })
  await cluster.signal(first.id, 'approved', { by: 'Ada' })
  console.log(await first.result())

  console.log(await cluster.run(article, { title: 'Rudders', deadline: '300ms' }))
}
