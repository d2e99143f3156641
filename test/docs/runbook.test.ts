// Shows that docs/operations.md has a row for every warning and error that a node can log, and names no event that is none.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { errorAdvice, isErrorCode } from '../../src/protocol/index.ts'

const root = new URL('../../', import.meta.url)
const text = (path: string): string => readFileSync(new URL(path, root), 'utf8')
const runbook = /^## Runbook\n([\s\S]*?)^## /m.exec(text('docs/operations.md'))?.[1] ?? ''
const alarms = [...runbook.matchAll(/^\| ([^|]+) \|/gm)].map(([, cell]) => cell!)

const code = readdirSync(new URL('src/', root), { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.ts'))
  .map(path => text(`src/${path}`))
  .join('\n')
const logged = new Set([...code.matchAll(/log\(\s*'(?:warn|error)',\s*'([a-z-]+)'/g)].map(([, event]) => event!))

/** Codes that mean that something is wrong with the cluster and not with what somebody asked of it. */
const operators = [
  ...['JOURNAL_CORRUPT', 'JOURNAL_WRITE_FAILED', 'JOURNAL_VERSION', 'STATE_FOLDER_IN_USE', 'STATE_FOLDER_UNUSABLE', 'NETWORK_FILE_SYSTEM'],
  ...['WORKER_LOST', 'WORKER_DISK_FAILED', 'BLOCK_LOST', 'BLOCK_CORRUPT', 'TASK_POISONED', 'OVERLOADED', 'UNAUTHENTICATED', 'FORBIDDEN'],
  ...[
    'VERSION_MISMATCH',
    'WRONG_CLUSTER',
    'FENCED',
    'ADDRESS_IN_USE',
    'INVALID_CONFIG',
    'SECRETS_UNAVAILABLE',
    'ENCRYPTION_KEY_MISSING',
    'ENCRYPTION_KEY_WRONG',
    'ENCRYPTION_KEY_UNUSABLE',
  ],
]

describe('the runbook in docs/operations.md', () => {
  it('has every warning and error that is logged', () => {
    assert.ok(logged.size > 15, `${logged.size} events were found`)
    assert.deepEqual(
      [...logged].filter(event => !alarms.some(alarm => alarm.includes(`\`${event}\``))),
      [],
    )
  })

  it('has every error that is about the cluster', () => {
    for (const name of operators) {
      assert.ok(isErrorCode(name), name)
      assert.ok(
        alarms.some(alarm => alarm.includes(`\`${name}\``)),
        name,
      )
    }
  })

  it('names no event or code that is none', () => {
    for (const [, name] of alarms.join('\n').matchAll(/`([\w-]+)`/g)) assert.ok(logged.has(name!) || name! in errorAdvice, name)
  })

  it('links to sections that are there', () => {
    const anchors = [...text('docs/operations.md').matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\p{L}\p{N} -]/gu, '')
        .replaceAll(' ', '-'),
    )
    for (const [, anchor] of text('docs/operations.md').matchAll(/\]\(#([^)]+)\)/g)) assert.ok(anchors.includes(anchor!), anchor)
  })
})
