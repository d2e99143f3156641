// Owns `npm run docs`: writes the pages that are made from the sources.
// Must not make a page that verify does not hold against them.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorsPage } from './errors.ts'
import { referencePage } from './reference.ts'
import { root } from './steps.ts'
import { Tree } from './tidy/tree.ts'

writeFileSync(join(root, 'docs/errors.md'), errorsPage(readFileSync(join(root, 'src/protocol/errors.ts'), 'utf8')))
writeFileSync(join(root, 'docs/sdk.md'), referencePage(Tree.fromDisk(root)))
process.stdout.write('wrote docs/errors.md and docs/sdk.md\n')
