// Shows that every tidy check finds what it is there for: each gets a bad sample, and a good one that it must leave alone.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { errorsPage } from '../../scripts/errors.ts'
import { referencePage } from '../../scripts/reference.ts'
import { checks } from '../../scripts/tidy/checks.ts'
import { Tree } from '../../scripts/tidy/tree.ts'

type Files = Record<string, string>
interface Sample {
  bad: Files
  /** What the problem's text must say, one for each problem that is expected. */
  says: RegExp[]
  good: Files
}

const header = '// Owns a sample.\n// Must not be used.\n'
const manifest = (dependencies: Files, devDependencies: Files = {}, peerDependencies: Files = {}, optional: string[] = []): string => {
  const peerDependenciesMeta = Object.fromEntries(optional.map(name => [name, { optional: true }]))
  return JSON.stringify({ version: '1.2.3', dependencies, devDependencies, peerDependencies, peerDependenciesMeta })
}
const many = (count: number, line = 'x()\n'): string => line.repeat(count)
/** Words that the checks look for are put together here, so that this file does not hold them. */
const glue = (...parts: string[]): string => parts.join('')

const errorsSource = "export const errorAdvice = {\n  // --- asking\n  BAD: 'Ask again.',\n} as const\n"

const samples: Record<keyof typeof checks, Sample> = {
  importLaw: {
    bad: {
      'src/core/a.ts': "import { x } from '../leader/index.ts'",
      'src/leader/b.ts': "import { y } from '../core/deep.ts'",
      'src/client/c.ts': "const z = await import('../worker/index.ts')",
      'src/worker/d.ts': "export type T = import('../leader/index.ts').X",
      'src/cli/e.ts': "export { s } from '../../simulator/s.ts'",
      'test/leader/f.test.ts': "import { y } from '../../src/core/deep.ts'",
      'src/cli/g.ts': "import { n } from './nothing.ts'",
      ...Object.fromEntries(
        ['src/leader/index.ts', 'src/core/index.ts', 'src/core/deep.ts', 'src/worker/index.ts', 'simulator/s.ts'].map(path => [path, '']),
      ),
    },
    says: [
      /cli.*|production code imports simulator/,
      /not there/,
      /client must not import the room worker/,
      /core must not import the room leader/,
      /past the face of core/,
      /worker must not import the room leader/,
      /past the face of core/,
    ],
    good: {
      'src/leader/b.ts': "import { y } from '../core/index.ts'\nimport { z } from './z.ts'",
      'src/cli/c.ts': "import { max } from '../core/limits.ts'",
      'src/leader/z.ts': "import type { p } from '../platform/index.ts'",
      'src/platform/node/n.ts': "import type { p } from '../platform.ts'",
      'test/core/f.test.ts': "import { y } from '../../src/core/deep.ts'",
      ...Object.fromEntries(
        ['src/core/index.ts', 'src/core/deep.ts', 'src/core/limits.ts', 'src/platform/index.ts', 'src/platform/platform.ts'].map(path => [
          path,
          '',
        ]),
      ),
    },
  },
  closedRooms: {
    bad: { 'src/core/a.ts': "import { join } from 'node:path'", 'src/worker/machine/b.ts': "import { WebSocket } from 'ws'" },
    says: [/must not import node:path/, /must not import ws/],
    good: { 'src/worker/agent.ts': "import { join } from 'node:path'" },
  },
  pureMachines: {
    bad: {
      'src/core/a.ts': 'const now = Date.now()',
      'src/core/b.ts': 'export async function f() { await g() }',
      'src/core/c.ts': 'const chance = Math.random()',
      'src/worker/machine/d.ts': 'setTimeout(f, 1)',
      'src/worker/machine/e.ts': 'type P = Promise<void>',
    },
    says: [/Date/, /async/, /await/, /Math\.random/, /setTimeout/, /Promise/],
    good: { 'src/core/a.ts': 'const x = { process: 1, Date: 2 }; x.process; Math.max(1, 2)', 'src/leader/b.ts': 'Date.now()' },
  },
  nothingAmbient: {
    bad: {
      'simulator/run.ts': "import { a } from '../src/leader/a.ts'\nprocess.on('x', f)\nperformance.now()",
      'src/leader/a.ts':
        "import '../client/b.ts'\nDate.now()\nnew Date()\nDate()\nsetTimeout(f, 1)\nglobalThis.setInterval(f)\nx.toLocaleString()",
      'src/client/b.ts': "export { x } from './c.ts'\nexport * from '../worker/stores.ts'\nMath.random()\ncrypto.randomUUID()",
      'src/client/c.ts':
        "import { createHash, randomUUID } from 'node:crypto'\nimport { connect } from 'node:net'\nimport { WebSocket } from 'ws'",
      'src/worker/stores.ts': 'AbortSignal.timeout(1)',
    },
    says: [
      /^performance/,
      /^Date\.now/,
      /^new Date\(\)/,
      /^Date\(\)/,
      /^setTimeout/,
      /^setInterval/,
      /^toLocaleString/,
      /^Math\.random/,
      /^crypto/,
      /^node:crypto/,
      /^node:net/,
      /^ws/,
      /^AbortSignal\.timeout/,
      /^uses no node:fs\/promises/,
    ],
    good: {
      'simulator/run.ts': "import { a } from '../src/leader/a.ts'\nprocess.on('x', f)",
      'simulator/main.ts': 'Date.now()',
      'src/leader/a.ts':
        "import type { B } from '../client/b.ts'\nimport { c } from '../client/endpoint.ts'\nimport '../client/e.ts'\nconst x = { process: 1 }; x.process; new Date(5)",
      'src/leader/c.ts': 'setTimeout(f, 1)',
      'src/client/b.ts': 'Date.now()',
      'src/client/endpoint.ts': "import { d } from './d.ts'\nimport { readFile } from 'node:fs/promises'",
      'src/client/d.ts': 'Math.random()',
      'src/client/e.ts': "import { createHash } from 'node:crypto'\nconst f = (fetch: F) => fetch(1)\nqueueMicrotask(f)",
    },
  },
  dependencies: {
    bad: {
      'package.json': manifest({ ws: '1' }, { zod: '1' }, { pg: '1', mysql: '1' }, ['pg']),
      'docs/dependencies.md': '- `ws`: sockets\n- `pg` and `mysql`: databases',
      'src/client/a.ts': "import { z } from 'zod'\nimport x from '@scope/other/deep'",
      'src/journal/b.ts': "import { Client } from 'pg'",
    },
    says: [
      /zod is not a declared runtime/,
      /@scope\/other is not a declared runtime/,
      /pg is an optional peer/,
      /peer mysql is not optional/,
      /peer pg is no dependency for developing/,
      /peer mysql is no dependency for developing/,
      /dependency ws is not used/,
      /dependency mysql is not used/,
      /no line about zod/,
    ],
    good: {
      'package.json': manifest({ ws: '1' }, { zod: '1', pg: '1' }, { pg: '1' }, ['pg']),
      'docs/dependencies.md': '- `ws`: sockets\n- `zod`: tests\n- `pg`: database',
      'src/platform/node/a.ts': "import { WebSocket } from 'ws'\nimport { join } from 'node:path'",
      'src/journal/b.ts': "import type { Client } from 'pg'\nconst pg = await import('pg')",
      'test/client/b.test.ts': "import { z } from 'zod'\nimport { Client } from 'pg'",
    },
  },
  deadExports: {
    bad: {
      'src/core/a.ts': 'export const unused = 1\nexport function alsoUnused() {}\nexport const used = 2',
      'src/core/b.ts': "import { used } from './a.ts'",
    },
    says: [/^unused is exported/, /^alsoUnused is exported/],
    good: {
      'src/index.ts': "export * from './client/index.ts'",
      'src/client/index.ts': "export { task as define } from './task.ts'",
      'src/client/task.ts': 'export function task(options: Options) {}\nexport interface Options { a: 1 }',
      'src/core/a.ts': 'export const used = 1',
      'src/core/index.ts': "export * from './a.ts'",
      'src/leader/b.ts': "import { used as mine } from '../core/index.ts'",
    },
  },
  deadFiles: {
    bad: { 'src/core/forgotten.ts': '' },
    says: [/nothing imports/],
    good: {
      'src/worker/agent.ts': "new URL('./executors/main' + ending, import.meta.url)",
      'src/worker/executors/main.ts': '',
      'src/index.ts': "import './worker/agent.ts'",
      'package.json': '{ "scripts": { "build": "node scripts/build.ts" } }',
      'scripts/build.ts': '',
    },
  },
  duplicateNames: {
    bad: {
      'src/core/index.ts': 'export const same = 1',
      'src/leader/index.ts': "export { same } from './other.ts'",
      'src/leader/other.ts': 'export const same = 2',
    },
    says: [/same is also exported by the room core/],
    good: { 'src/core/index.ts': 'export const same = 1', 'src/leader/index.ts': "export { same } from '../core/index.ts'" },
  },
  documentedFaces: {
    bad: { 'src/core/index.ts': "export * from './a.ts'", 'src/core/a.ts': '// no docstring\nexport function bare() {}' },
    says: [/bare is in the room's face/],
    good: {
      'src/core/index.ts': "export * from './a.ts'",
      'src/core/a.ts':
        '/** Says it. */\nexport function told(a: 1): void\nexport function told(a: 2): void\nexport function told() {}\nexport type Hello = Infer<typeof hello>',
      'src/core/b.ts': 'export const inside = 1',
    },
  },
  headers: {
    bad: {
      'src/core/a.ts': 'const a = 1',
      'src/core/b.ts': '// Owns one line only.\nconst a = 1',
      'src/core/c.ts': '// Owns this.\n// And also that.\n',
    },
    says: [/two comment lines/, /two comment lines/, /what it must not do/],
    good: {
      'src/core/a.ts': header,
      'src/cli/main.ts': `#!/usr/bin/env node\n${header}`,
      'src/core/index.ts': '// The face.',
      'test/core/a.test.ts': '// Shows it.',
    },
  },
  fileSizes: {
    bad: {
      'scripts/tidy/excused.json': '{ "src/core/excused.ts": 320, "src/core/gone.ts": 310, "src/core/fits.ts": 310 }',
      'src/core/long.ts': many(301),
      'src/core/excused.ts': many(321),
      'src/core/fits.ts': many(299),
      'test/core/long.test.ts': many(601),
    },
    says: [/has 321 lines; 320/, /has 301 lines; 300/, /has 601 lines; 600/, /it has 299: drop the excuse/, /gone.*not there/],
    good: {
      'scripts/tidy/excused.json': '{ "src/core/excused.ts": 320 }',
      'src/core/long.ts': many(300),
      'src/core/excused.ts': many(320),
      'test/core/a.test.ts': many(600),
    },
  },
  functionSizes: {
    bad: {
      'src/core/a.ts': `function long() {\n${many(70)}}`,
      'src/core/b.ts': `const f = () => {\n${many(70)}}`,
      'src/core/c.ts': `class C { m() {\n${many(70)}} }`,
    },
    says: [/72 lines/, /72 lines/, /72 lines/],
    good: { 'src/core/a.ts': `function fits() {\n${many(68)}}`, 'test/core/a.test.ts': `describe('heading', () => {\n${many(100)}})` },
  },
  strayFiles: {
    bad: { 'src/core/a.orig': '', 'core.dump': '', 'scripts/old.js': '', 'docs/a.yaml': '', 'deploy/a.sh': '' },
    says: [/no place/, /no place/, /no place/, /no place/, /no place/],
    good: {
      'README.md': '',
      LICENSE: '',
      'deploy/a.yaml': '',
      'deploy/container/Containerfile': '',
      'src/core/a.ts': '',
      'test/cli/fixtures/blob.bin': '',
      '.ci/run': '',
    },
  },
  leftOverMarks: {
    bad: {
      'src/core/a.ts': `// ${glue('TO', 'DO')}: later\nthrow new Error('${glue('not imple', 'mented')}')`,
      'docs/a.md': glue('FIX', 'ME'),
    },
    says: [/left-over mark/, /left-over mark/, /left for later/],
    good: { 'src/core/a.ts': "mkdtemp('cox-XXXXXX') // todos are a thing users may have" },
  },
  machinePaths: {
    bad: {
      'docs/a.md': `see ${glue('/wo', 'rk/main')} and ${glue('../sha', 'red/design.md')}`,
      'src/core/a.ts': `const url = 'http://${glue('regis', 'try')}.example.org'`,
    },
    says: [/path of somebody/, /path of somebody/, /package registry/],
    good: { 'docs/a.md': 'the work/main folder, src/worker/agent.ts, https://example.org/work and /home/you/x' },
  },
  unverifiedPeers: {
    bad: {
      'src/client/a.ts': 'const options = { rejectUnauthorized: false }',
      'src/worker/a.ts': 'const options = { rejectUnauthorized: anybody }',
    },
    says: [/not verified/, /not verified/],
    good: {
      'src/client/a.ts': 'const options = { rejectUnauthorized: true }',
      'test/a.test.ts': 'const options = { rejectUnauthorized: false }',
    },
  },
  lockAddresses: {
    bad: { 'package-lock.json': '{ "a": { "resolved": "https://example.org/a.tgz" } }' },
    says: [/download address/],
    good: { 'package-lock.json': '{ "a": { "version": "1.0.0", "integrity": "sha512-x" } }' },
  },
  lockComplete: {
    bad: {
      'package-lock.json':
        '{ "packages": { "node_modules/a": { "optionalDependencies": { "a-linux": "1", "a-mac": "1" } }, "node_modules/a-linux": {} } }',
    },
    says: [/no entry for a-mac/],
    good: {
      'package-lock.json':
        '{ "packages": { "node_modules/a": { "optionalDependencies": { "@a/linux": "1" } }, "node_modules/@a/linux": {} } }',
    },
  },
  skippedTests: {
    bad: { 'test/core/a.test.ts': glue('test.on', "ly('x', f)\nit.sk", "ip('y', f)\nt.sk", "ip()\ntest('z', { sk", 'ip: true }, f)') },
    says: [/switched off/, /switched off/, /without a reason/, /switched off/],
    good: { 'test/core/a.test.ts': "t.skip('needs root')\ntest('z', { skip: process.getuid?.() !== 0 && 'needs root' }, f)" },
  },
  typeEscapes: {
    bad: {
      'src/core/a.ts': `// ${glue('@ts-ig', 'nore')}\n\nconst a = b as unknown as C`,
      'src/core/b.ts': `// ${glue('@ts-exp', 'ect-error')}`,
      'src/core/c.ts': `// ${glue('biome-ig', 'nore')} lint/x: because`,
    },
    says: [/type checker/, /type checker/, /without a reason/, /double cast/],
    good: {
      'src/core/a.ts': '// The codec has checked every field.\nconst a = b as unknown as C',
      'test/core/a.test.ts': `// ${glue('@ts-exp', 'ect-error')}: a number is no name`,
    },
  },
  sleepsInTests: {
    bad: {
      'test/core/a.test.ts': 'await new Promise(resolve => setTimeout(resolve, 100))',
      'test/core/b.test.ts': "import { setTimeout as pause } from 'node:timers/promises'\nawait pause(10)",
      'test/core/c.test.ts': glue('ass', 'ert.ok(performance.now() - start < 100)'),
    },
    says: [/a sleep/, /a sleep/, /how long something took/],
    good: {
      'test/core/a.test.ts': 'async function until(holds) { while (!holds()) await new Promise(resolve => setTimeout(resolve, 5)) }',
      'test/core/b.test.ts': "import { setTimeout as pause } from 'node:timers/promises'\nconst waitFor = async () => { await pause(5) }",
      'test/core/d.test.ts':
        'task({ async run() { await new Promise(resolve => setTimeout(resolve, 50)) } })\nwhile (!there()) await new Promise(resolve => setTimeout(resolve, 5))',
      'test/core/c.test.ts': "const limit = setTimeout(() => reject(new Error('too late')), 5000)",
    },
  },
  errorsPageCurrent: {
    bad: { 'src/protocol/errors.ts': errorsSource, 'docs/errors.md': errorsPage(errorsSource.replace('again', 'twice')) },
    says: [/run `npm run docs`/],
    good: { 'src/protocol/errors.ts': errorsSource, 'docs/errors.md': errorsPage(errorsSource) },
  },
  referencePageCurrent: {
    bad: { 'src/index.ts': '/** New words. */\nexport const a = 1', 'docs/sdk.md': '# SDK reference\n' },
    says: [/run `npm run docs`/],
    good: {
      'src/index.ts': '/** Words. */\nexport const a = 1',
      'docs/sdk.md': referencePage(new Tree({ 'src/index.ts': '/** Words. */\nexport const a = 1' })),
    },
  },
  releaseNumbers: {
    bad: { 'package.json': manifest({}), 'src/protocol/release.ts': "export const release = '1.2.4'", 'CHANGELOG.md': '## 1.2.2 (today)' },
    says: [/says 1\.2\.4/, /newest release is 1\.2\.2/],
    good: {
      'package.json': manifest({}),
      'src/protocol/release.ts': "export const release = '1.2.3'",
      'CHANGELOG.md': '# Changes\n\n## 1.2.3\n\n## 1.2.2',
    },
  },
  promises: {
    bad: {
      'README.md': '# x\n\n## Promises\n\n| promise | test |\n| --- | --- |\n| durable | `test/a.test.ts` |\n| quick | trust us |\n',
      'README.zh-CN.md': '# x\n',
    },
    says: [/test\/a\.test\.ts, which is not there/, /names no test/, /no table of promises/],
    good: {
      'README.md':
        '## What it promises\n\n| promise | test |\n| --- | --- |\n| durable | `test/a.test.ts` |\n\n## Else\n\n| a | b |\n| --- | --- |\n| c | d |\n',
      'README.zh-CN.md': '## 承诺\n\n| 承诺 | 测试 |\n| --- | --- |\n| 持久 | `test/a.test.ts` |\n',
      'test/a.test.ts': '',
    },
  },
  links: {
    bad: { 'README.md': '[x](docs/gone.md) and `src/gone.ts`' },
    says: [/links to docs\/gone\.md/, /names src\/gone\.ts/],
    good: {
      'README.md': '[x](docs/here.md#part) [y](https://example.org) [z](docs/)\n```\n[not](a/link)\n```\n',
      'docs/here.md': '[up](../README.md)',
    },
  },
}

describe('tidy checks', () => {
  for (const [name, check] of Object.entries(checks)) {
    const sample = samples[name]
    it(`${name} finds its bad sample`, () => {
      assert.ok(sample, `${name} has no sample`)
      const found = check(new Tree(sample.bad)).map(problem => problem.text)
      assert.equal(found.length, sample.says.length, found.join('\n'))
      for (const says of sample.says)
        assert.ok(
          found.some(text => says.test(text)),
          `nothing says ${says}:\n${found.join('\n')}`,
        )
    })
    it(`${name} leaves its good sample alone`, () => {
      assert.deepEqual(check(new Tree(sample!.good)), [])
    })
  }
})
