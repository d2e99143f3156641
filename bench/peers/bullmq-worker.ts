// Owns one worker process of the BullMQ peer: it completes no-op jobs and tells how many.
// Must not tell each job by itself: that would slow the peer down.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { BullMq, WorkerOrder } from './bullmq.ts'

process.once('message', async (order: WorkerOrder) => {
  const { Worker } = createRequire(join(order.folder, 'package.json'))('bullmq') as BullMq
  const worker = new Worker(order.queue, async job => job.data, {
    connection: { host: '127.0.0.1', port: order.port },
    concurrency: order.concurrency,
  })
  let untold = 0
  worker.on('completed', () => {
    if (untold++ > 0) return
    setImmediate(() => {
      process.send!(untold)
      untold = 0
    })
  })
  await worker.waitUntilReady()
  process.send!('ready')
})
