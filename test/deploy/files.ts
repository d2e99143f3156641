// Owns reading the files of deploy/ in tests, and what our own command line makes of the commands in them.
// Must not start anything that they name.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { parseAllDocuments } from 'yaml'
import { settingsOf } from '../../src/cli/config/options.ts'
import { type SettingName, type SettingValues, settingList, variableOf } from '../../src/cli/config/schema.ts'
import { commandTree } from '../../src/cli/program.ts'

/** The folder of the project. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** The text of a file of the project. */
export function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** What a YAML file holds, after a check that nothing in it is doubtful. */
export function yamlDocuments(path: string): unknown[] {
  return parseAllDocuments(textOf(path), { merge: true, uniqueKeys: true }).map(document => {
    assert.deepEqual([...document.errors, ...document.warnings].map(String), [], path)
    return document.toJS() as unknown
  })
}

/** The command that these arguments of `cox` name, parsed by the real command tree but not run. */
async function parsedCommand(args: readonly string[]): Promise<Command> {
  const tree = await commandTree(args[0])
  let parsed: Command | undefined
  const defuse = (command: Command): void => {
    if (command.commands.length === 0)
      command.action((...given: unknown[]) => {
        parsed = given.at(-1) as Command
      })
    command.commands.forEach(defuse)
  }
  defuse(tree)
  await tree.parseAsync([...args], { from: 'user' })
  assert.ok(parsed, args.join(' '))
  return parsed
}

/** The settings with which `cox up` would start by this command line and environment; files are where the map says. */
export async function settingsFor(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>> = {},
): Promise<SettingValues> {
  const here = (text: string): string => (files[text] === undefined ? text : join(root, files[text]))
  const known = [...settingList.map(([name]) => variableOf(name)), 'COX_HOME', 'COX_CONFIG']
  for (const name of Object.keys(environment)) if (name.startsWith('COX_')) assert.ok(known.includes(name), `${name} is no setting`)
  assert.equal(args[0], 'up')
  const command = await parsedCommand(args.map(here))
  const before = { ...process.env }
  try {
    for (const [name, value] of Object.entries(environment)) process.env[name] = here(value)
    return (await settingsOf(command)).values
  } finally {
    for (const name of Object.keys(environment)) delete process.env[name]
    Object.assign(process.env, before)
  }
}

/** Which of the two kinds of node such settings make, and the port on which it listens. */
export function nodeOf(values: SettingValues): { kind: 'candidate' | 'worker'; port: number } {
  const kinds = { '1,0': 'candidate', '0,1': 'worker' } as const
  const kind = kinds[`${values.candidates},${values.workers}` as keyof typeof kinds]
  assert.ok(kind, `${values.candidates} candidates and ${values.workers} workers are not one node`)
  assert.ok(values.listen, 'it does not say where it listens')
  return { kind, port: Number(values.listen.split(':').at(-1)) }
}

/** The ports that docs/operations.md names, by who listens there. */
export function documentedPorts(): Record<string, number> {
  const section = /^## Ports and tokens\n([\s\S]*?)^## /m.exec(textOf('docs/operations.md'))?.[1] ?? ''
  return Object.fromEntries([...section.matchAll(/^\| (\d+) \| (\w+)/gm)].map(([, port, who]) => [who, Number(port)]))
}

/** Settings that name the file of a secret. */
export const secretFiles: readonly SettingName[] = settingList.filter(([, { secret }]) => secret).map(([name]) => name)
