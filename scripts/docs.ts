// Owns `npm run docs`: writes the pages that are made from the sources.
// Must not make a page that verify does not hold against them.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configurationPage } from './configuration.ts'
import { errorsPage } from './errors.ts'
import { referencePage } from './reference.ts'
import { root } from './steps.ts'
import { Tree } from './tidy/tree.ts'

writeFileSync(join(root, 'docs/errors.md'), errorsPage(readFileSync(join(root, 'src/protocol/errors.ts'), 'utf8')))
writeFileSync(join(root, 'docs/sdk.md'), referencePage(Tree.fromDisk(root)))
const configuration = join(root, 'docs/configuration.md')
writeFileSync(configuration, configurationPage(readFileSync(configuration, 'utf8')))
process.stdout.write('wrote docs/errors.md and docs/sdk.md, and the table in docs/configuration.md\n')
