// Shows what the generated pages are made of: docstrings and declarations, and nothing private.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { errorsPage } from '../../scripts/errors.ts'
import { referencePage } from '../../scripts/reference.ts'
import { Tree } from '../../scripts/tidy/tree.ts'
import { errorAdvice } from '../../src/protocol/index.ts'

const page = referencePage(
  new Tree({
    'src/index.ts': "export * from './client/index.ts'",
    'src/client/index.ts':
      "export { connect, Cluster } from './connect.ts'\nexport type { Options } from './connect.ts'\nexport { release as version } from '../protocol/index.ts'",
    'src/protocol/index.ts': "/** The release. */\nexport const release = '1.0.0'",
    'src/client/connect.ts': `
/** How to connect. */
export interface Options {
  /** Where to. */
  url?: string
}
/** Connects by address. */
export async function connect(url: string): Promise<Cluster>
/** Connects by options. */
export async function connect(options: Options): Promise<Cluster>
export async function connect(given: string | Options): Promise<Cluster> { return new Cluster(given) }
/** A cluster that answers. */
export class Cluster extends Base {
  /** Its name. */
  readonly name: string = 'x'
  #secret = 1
  private hidden = 2
  constructor(given: unknown) { super() }
  /**
   * Runs one.
   * @param input what goes in
   * @example
   * await cluster.run(1)
   */
  async run<T>(input: T): Promise<T> { return input }
}
/** Not exported by the face. */
export function internal() {}
`,
  }),
)

describe('the SDK reference', () => {
  it('shows overloads with their own words, and no bodies', () => {
    assert.match(
      page,
      /### connect\n\nConnects by address\.\n\n```ts\nfunction connect\(url: string\): Promise<Cluster>\n```\n\nConnects by options\./,
    )
    assert.doesNotMatch(page, /new Cluster\(given\)/)
  })

  it('shows public members with their docstrings, and no private ones', () => {
    assert.match(page, /```ts\nclass Cluster extends Base\n```/)
    assert.match(page, /- `readonly name: string`\n {2}Its name\./)
    assert.match(page, /- `run<T>\(input: T\): Promise<T>`\n {2}Runs one\./)
    assert.match(page, /- `input`: what goes in/)
    assert.match(page, /```ts\n {2}await cluster\.run\(1\)\n {2}```/)
    assert.doesNotMatch(page, /secret|hidden|constructor/)
  })

  it('shows interfaces, values under the name they are exported by, and nothing else', () => {
    assert.match(page, /### Options\n\nHow to connect\./)
    assert.match(page, /### version\n\nThe release\.\n\n```ts\nconst version = '1\.0\.0'\n```/)
    assert.doesNotMatch(page, /internal/)
  })
})

describe('the page of errors', () => {
  it('has a row for each code in the table and for no other', () => {
    const made = errorsPage(readFileSync(new URL('../../src/protocol/errors.ts', import.meta.url), 'utf8'))
    const codes = [...made.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code)
    assert.deepEqual(codes, Object.keys(errorAdvice))
  })
})
