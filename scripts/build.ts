// Owns `npm run build`: what a user installs, made anew in dist/, or in the folder of the project that is named.
// Must not put anything there that only tests need.
import { chmodSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root, runStep } from './steps.ts'

const name = process.argv[2] ?? 'dist'
const dist = join(root, name)

/** What the compiled tree must look like; each line that is returned is a reason to refuse it. */
function faults(): string[] {
  const found: string[] = []
  const command = readFileSync(join(dist, 'cli/main.js'), 'utf8')
  if (!command.startsWith('#!/usr/bin/env node')) found.push('cli/main.js has lost its first line (#!/usr/bin/env node)')
  for (const path of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.js')) continue
    if (/(^|\/)conformance[./]/.test(path)) found.push(`${path} is for tests only`)
    const text = readFileSync(join(dist, path), 'utf8')
    if (/(from|import\() *['"]\.[^'"]*\.ts['"]/.test(text)) found.push(`${path} imports a .ts file`)
    if (/['"]node:test['"]/.test(text)) found.push(`${path} imports node:test`)
  }
  return found
}

rmSync(dist, { recursive: true, force: true })
/** A build in another folder is there to be measured: its types are verify's, and nobody reads their declarations. */
const hurried = name === 'dist' ? [] : ['--noCheck', '--declaration', 'false']
const compiled = await runStep('compile', process.execPath, [
  join(root, 'node_modules/typescript/bin/tsc'),
  '-p',
  'tsconfig.build.json',
  '--outDir',
  dist,
  '--pretty',
  'false',
  ...hurried,
])
if (!compiled.ok) {
  process.stderr.write(compiled.output)
  process.exit(1)
}
chmodSync(join(dist, 'cli/main.js'), 0o755)
const wrong = faults()
if (wrong.length > 0) {
  process.stderr.write(`${wrong.join('\n')}\n`)
  process.exit(1)
}
// npm pack reads stdout, so the summary goes to stderr.
process.stderr.write(`built ${name}/ in ${(compiled.tookMs / 1000).toFixed(1)} s\n`)
