// Shows limits by key: a crawler that goes easy on each host, whatever asks for its pages. It starts a small site of its own, on loopback, which
// counts how many requests it has at once. Run it with: node examples/crawler.ts. In your own project import from 'coxswain'.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, task, type Workflow, workflow } from '../src/index.ts'

interface Page {
  host: string
  url: string
}

const fetchPage = task({
  name: 'fetch-page',
  cpus: 0.1,
  retries: 2,
  timeout: '10s',
  async run({ url }: Page, ctx) {
    const text = await (await fetch(url, { signal: ctx.signal })).text()
    return [...text.matchAll(/href="([^"]+)"/g)].map(match => new URL(match[1]!, url).href)
  },
})

/** One page. Its host is known only here, when the step has its input: so the key is that of the host. */
export const visit = workflow({
  name: 'visit',
  build: (flow, page: Page) =>
    flow.run(fetchPage, page, { concurrencyKey: `host:${page.host}`, concurrency: 2, rate: { limit: 20, per: '1s' }, stepTimeout: '30s' }),
})

const unseen = task({
  name: 'unseen',
  run({ seen, links }: { seen: string[]; links: string[][] }) {
    const known = new Set(seen)
    return [...new Set(links.flat())].filter(url => !known.has(url)).sort()
  },
})

interface Round {
  hosts: Record<string, string>
  urls: string[]
  seen: string[]
}

/** Pages, then those that they link to, until there are no new ones. */
export const crawl: Workflow<Round, string[]> = workflow({
  name: 'crawl',
  build(flow, { hosts, urls, seen }: Round) {
    if (urls.length === 0) return seen
    const links = flow.map(
      visit,
      urls.map(url => ({ host: hosts[new URL(url).port] ?? 'elsewhere', url })),
      { concurrency: 8 },
    )
    const all = [...seen, ...urls]
    return flow.run(crawl, { hosts, seen: all, urls: flow.run(unseen, { seen: all, links }) })
  },
}) as Workflow<Round, string[]>

/** A site of some pages that link to one another, and the most requests that it had at once. */
async function site(pages: number): Promise<{ url: string; port: string; most(): number; close(): void }> {
  let now = 0
  let most = 0
  const server = createServer((request, response) => {
    most = Math.max(most, ++now)
    const page = Number(request.url?.slice(1))
    const links = [2 * page + 1, 2 * page + 2].filter(one => one < pages).map(one => `<a href="/${one}">${one}</a>`)
    setTimeout(() => {
      now--
      response.end(links.join(' '))
    }, 20)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const port = String((server.address() as AddressInfo).port)
  return { url: `http://127.0.0.1:${port}/0`, port, most: () => most, close: () => server.close() }
}

if (import.meta.main) {
  await using cluster = await connect()
  const [one, other] = [await site(9), await site(5)]
  const start = { hosts: { [one.port]: 'one.example', [other.port]: 'other.example' }, urls: [one.url, other.url], seen: [] }
  // A second crawl is refused while there is one.
  const pages = await cluster.run(crawl, start, { concurrencyKey: 'crawl', whenBusy: 'reject', timeout: '2m' })
  console.log(`${pages.length} pages`)
  console.log(`at most ${Math.max(one.most(), other.most()) <= 2 ? 'two' : 'too many'} at once on each host`)
  one.close()
  other.close()
}
