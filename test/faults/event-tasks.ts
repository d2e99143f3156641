// Owns what the tests of events run: tasks and workflows that are started by events, or wait for them.
// Must not do anything when it is loaded.
import { type ReceivedEvent, task, trigger, workflow } from '../../src/index.ts'

/** What an event brings in these tests. */
export interface Payment {
  amount: number
}

/** Gives what it got. */
export const booked = task({ name: 'booked', run: (received: ReceivedEvent<Payment>) => received })

const double = task({ name: 'double', run: (amount: number) => amount * 2 })
const amountOf = task({ name: 'amount-of', run: (payment: Payment) => payment.amount })

/** Built on a worker with the event that started it: it loops over what that brought. */
export const audited = workflow({
  name: 'audited',
  build: (flow, { payload, key, id }: ReceivedEvent<Payment>) =>
    flow.all({ key, id, doubled: Array.from({ length: payload.amount }, (_, i) => flow.run(double, i)) }),
})

/** Waits for the payment of an order; without one in time it is worth nothing. */
export const order = workflow({
  name: 'order',
  build(flow, { key, timeout }: { key: string; timeout: `${number}s` | `${number}ms` }) {
    const paid = flow.waitForEvent<Payment>('payment', { key, timeout })
    return flow.catch(flow.run(amountOf, paid), error => error)
  },
})

/** Each payment is booked; those of the order `o-1` are also audited. */
export const onPayment = trigger({ name: 'on-payment', event: 'payment', task: booked })
export const onFirst = trigger({ name: 'on-first', event: 'payment', key: 'o-1', workflow: audited })
