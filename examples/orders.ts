// Shows a saga: an order is paid and shipped; where a step fails, what was done before is taken back, the last first.
// Run it with: node examples/orders.ts (it starts a cluster for itself where none is up). In your own project import from 'coxswain'.
import { type CoxswainError, connect, task, workflow } from '../src/index.ts'

interface Order {
  id: string
  cents: number
  /** Where it goes; nobody ships to the moon. */
  to: string
}

const reserve = task({ name: 'reserve', run: (order: Order) => ({ order, shelf: order.id.length }) })
const putBack = task({ name: 'put-back', run: ({ order }: { order: Order }, ctx) => ctx.log(`put ${order.id} back`) })
const pay = task({ name: 'pay', retries: 3, run: (order: Order) => ({ order, receipt: `receipt-${order.id}` }) })
const refund = task({ name: 'refund', retries: 3, run: ({ receipt }: { receipt: string }, ctx) => ctx.log(`refunded ${receipt}`) })

const ship = task({
  name: 'ship',
  run({ to, receipt }: { to: string; receipt: { receipt: string } }) {
    if (to === 'moon') throw new Error('nobody ships to the moon')
    return `on its way to ${to}, ${receipt.receipt}`
  },
})

/** One order, all or nothing. */
export const order = workflow({
  name: 'order',
  build(flow, input: Order) {
    const reserved = flow.run(reserve, input)
    flow.onFailure(reserved, putBack)
    const paid = flow.run(pay, input, { after: reserved })
    flow.onFailure(paid, refund)
    return flow.run(ship, { to: input.to, receipt: paid })
  },
})

if (import.meta.main) {
  await using cluster = await connect()

  console.log(await cluster.run(order, { id: 'o-1', cents: 1200, to: 'Kiel' }))

  const lost = await cluster.submit(order, { id: 'o-2', cents: 900, to: 'moon' })
  try {
    await lost.result()
  } catch (error) {
    console.log((error as CoxswainError).message)
  }
  for await (const line of lost.logs()) console.log(line.text)
}
