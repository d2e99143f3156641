// Shows events: a payment's webhook, told twice as webhooks are, wakes the workflow of its order, and starts another one that keeps the books.
// Run it with: node examples/payments.ts (it starts a cluster for itself where none is up). In your own project import from 'coxswain'.
import { connect, type ReceivedEvent, task, trigger, workflow } from '../src/index.ts'

interface Payment {
  amount: number
}

const invoice = task({ name: 'invoice', run: (order: string) => `invoice of ${order}` })
const ship = task({ name: 'ship', run: ({ order, paid }: { order: string; paid: Payment }) => `${order}: shipped for ${paid.amount}` })
const remind = task({ name: 'remind', run: (order: string) => `${order}: reminded, nobody paid` })
const book = task({ name: 'book', run: ({ key, payload }: ReceivedEvent<Payment>) => `${key}: ${payload.amount} booked` })

/** An order is shipped when it is paid for. The webhook may be quicker than the invoice's own answer: the payment is not missed. */
export const order = workflow({
  name: 'order',
  build(flow, { id, patience }: { id: string; patience: `${number}d` | `${number}ms` }) {
    const sent = flow.run(invoice, id)
    const paid = flow.after(sent, () => flow.waitForEvent<Payment>('payment.received', { key: id, timeout: patience }))
    return flow.catch(flow.run(ship, { order: id, paid }), () => flow.run(remind, id))
  },
})

/** Every payment is booked once, whatever it was for. */
export const books = trigger({ name: 'books', event: 'payment.received', task: book })

if (import.meta.main) {
  await using cluster = await connect()
  await cluster.on(books)

  const first = await cluster.submit(order, { id: 'o-1', patience: '14d' })
  const webhook = { key: 'o-1', id: 'evt_17' }
  for (let delivery = 1; delivery <= 2; delivery++) {
    const { started, woken } = await cluster.emit('payment.received', { amount: 42 }, webhook)
    console.log(`delivery ${delivery}: started ${started}, woke ${woken}`)
  }
  console.log(await first.result())
  console.log(await cluster.job('books@evt_17').result())
  console.log(`booked ${(await cluster.trigger('books').status()).started} time`)

  console.log(await cluster.run(order, { id: 'o-2', patience: '300ms' }))
}
