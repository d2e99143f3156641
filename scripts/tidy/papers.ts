// Owns the checks that documents and code say the same: errors, the release's number, promises and links.
// Must not judge style.
import { dirname, join, normalize } from 'node:path'
import { errorsPage } from '../errors.ts'
import { referencePage } from '../reference.ts'
import type { Check, Problem } from './tree.ts'

/** docs/errors.md is what scripts/errors.ts makes of the table in src/protocol/errors.ts. */
export const errorsPageCurrent: Check = tree => {
  const source = tree.text('src/protocol/errors.ts')
  if (tree.text('docs/errors.md') === errorsPage(source)) return []
  return [{ path: 'docs/errors.md', line: 0, text: 'differs from src/protocol/errors.ts: run `npm run docs`' }]
}

/** docs/sdk.md is what scripts/reference.ts makes of the docstrings. */
export const referencePageCurrent: Check = tree => {
  if (tree.text('docs/sdk.md') === referencePage(tree)) return []
  return [{ path: 'docs/sdk.md', line: 0, text: 'differs from the docstrings of what src/index.ts exports: run `npm run docs`' }]
}

/** One number for the release: in package.json, in the code, and at the top of the change log. */
export const releaseNumbers: Check = tree => {
  const version = (JSON.parse(tree.text('package.json')) as { version: string }).version
  const problems: Problem[] = []
  const inCode = /release = '([^']+)'/.exec(tree.text('src/protocol/release.ts'))?.[1]
  if (inCode !== version) problems.push({ path: 'src/protocol/release.ts', line: 0, text: `says ${inCode}; package.json says ${version}` })
  const inLog = /^## \[?(\d[^\]\s]*)/m.exec(tree.text('CHANGELOG.md'))?.[1]
  if (inLog !== version)
    problems.push({ path: 'CHANGELOG.md', line: 0, text: `its newest release is ${inLog ?? 'missing'}; package.json says ${version}` })
  return problems
}

/** Each promise of the README is a row of the table under its heading and names a test that is there. */
export const promises: Check = tree => {
  const problems: Problem[] = []
  for (const [path, heading] of [
    ['README.md', /^## .*promise/i],
    ['README.zh-CN.md', /^## .*(承诺|保证)/],
  ] as const) {
    const rows = tableBelow(tree.lines(path), heading)
    if (rows.length === 0) problems.push({ path, line: 0, text: 'has no table of promises' })
    for (const { line, text } of rows) {
      const named = [...text.matchAll(/test\/[\w./-]+\.ts/g)].map(match => match[0])
      if (named.length === 0) problems.push({ path, line, text: 'a promise that names no test' })
      for (const test of named) if (!tree.has(test)) problems.push({ path, line, text: `names ${test}, which is not there` })
    }
  }
  return problems
}

/** The rows of all tables between a heading and the next one of its level, without their heads. */
function tableBelow(lines: readonly string[], heading: RegExp): { line: number; text: string }[] {
  const start = lines.findIndex(line => heading.test(line))
  if (start < 0) return []
  const length = lines.slice(start + 1).findIndex(line => line.startsWith('## '))
  const section = lines.slice(start + 1, length < 0 ? undefined : start + 1 + length)
  return section
    .map((text, index) => ({ line: start + 2 + index, text }))
    .filter(({ text }, index) => text.startsWith('|') && !/^\|[\s:|-]+$/.test(text) && !/^\|[\s:|-]+$/.test(section[index + 1] ?? ''))
}

/** Links between documents lead somewhere, and so do the paths that they name in backticks. */
export const links: Check = tree => {
  const problems: Problem[] = []
  for (const path of tree.paths.filter(one => one.endsWith('.md') && !one.includes('/fixtures/'))) {
    let fenced = false
    tree.lines(path).forEach((line, index) => {
      if (/^\s*```/.test(line)) fenced = !fenced
      if (fenced) return
      for (const [, target] of line.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
        if (/^[a-z]+:/i.test(target!)) continue
        const there = normalize(join(dirname(path), target!))
          .replaceAll('\\', '/')
          .replace(/\/$/, '')
        if (!tree.has(there) && !tree.paths.some(other => other.startsWith(`${there}/`)))
          problems.push({ path, line: index + 1, text: `links to ${target}, which is not there` })
      }
      for (const [, target] of line.matchAll(/`((?:src|test|bench|scripts|docs|examples)\/[\w./-]+\.(?:ts|md|json))`/g)) {
        if (!tree.has(target!)) problems.push({ path, line: index + 1, text: `names ${target}, which is not there` })
      }
    })
  }
  return problems
}
