// Owns `cox config`: the settings that `cox up` would take here, each with where it came from.
// Must not start anything, and must not show what a secret file holds.
import type { Command } from 'commander'
import type { Effective } from '../config/effective.ts'
import { type ConfigOption, settingsOf, withSettings } from '../config/options.ts'
import { type Setting, settingList, variableOf } from '../config/schema.ts'

interface ConfigOptions extends ConfigOption {
  check?: string
  json?: boolean
}

/** One line of the answer. */
interface Row {
  name: string
  value: unknown
  text: string
  from: string
  where: string
  variable: string
}

/** Declares the verb. */
export function declare(program: Command): void {
  withSettings(program.command('config'))
    .summary('print the settings of `cox up` and where each came from')
    .description(
      'Prints the settings that `cox up` would take here, and where each came from: a flag, a variable COX_…, the config file or the default, in this order. With --check, reads one config file and says what is wrong with it. Of secrets only the paths of their files are known.',
    )
    .option('--check <file>', 'only read this config file, and say what is wrong with it')
    .addHelpText(
      'after',
      `
Examples:
  cox config                           what holds here, and why
  cox config --workers 2 --port 4700   what would hold with these flags
  cox config --check coxswain.config.ts
  cox config --json | jq .settings.port`,
    )
    .action((options: ConfigOptions, command: Command) =>
      options.check === undefined ? show(options, command) : check(options.check, options),
    )
}

/** A setting's value as a config file would have it, and as text. */
function written(setting: Setting, value: unknown): { value: unknown; text: string } {
  if (value === undefined) return { value: null, text: 'text' in setting.standard ? setting.standard.text : '' }
  const shown = setting.kind.write(value)
  return { value: shown, text: Array.isArray(shown) ? shown.join(',') : String(shown) }
}

function settingRows({ values, sources }: Pick<Effective, 'values' | 'sources'>): Row[] {
  return settingList.map(([name, setting]) => {
    const { from, where } = sources[name]
    return { name, ...written(setting, values[name]), from, where, variable: variableOf(name) }
  })
}

/** What only the environment says, for all verbs. */
async function placeRows(): Promise<Row[]> {
  const { Home } = await import('../state/home.ts')
  const { join } = await import('node:path')
  const { COX_HOME, XDG_STATE_HOME, COX_URL, COX_TOKEN_FILE } = process.env
  const home = new Home()
  const row = (name: string, variable: string, said: string | undefined, value: string | undefined, text = value ?? ''): Row => ({
    name,
    value: value ?? null,
    text,
    from: said ? 'environment' : 'default',
    where: said ? variable : '',
    variable,
  })
  return [
    row('home', COX_HOME || !XDG_STATE_HOME ? 'COX_HOME' : 'XDG_STATE_HOME', COX_HOME || XDG_STATE_HOME, home.path),
    row('url', 'COX_URL', COX_URL, COX_URL || undefined, COX_URL || 'the cluster of the state folder'),
    row('tokenFile', 'COX_TOKEN_FILE', COX_TOKEN_FILE, COX_TOKEN_FILE || join(home.tokens, 'user')),
  ]
}

async function show(options: ConfigOptions, command: Command): Promise<void> {
  const { printJson, printLine, printNotice } = await import('../output/print.ts')
  const { tableLines } = await import('../output/table.ts')
  const { harmless } = await import('../output/text.ts')
  const effective = await settingsOf(command)
  const rows = [...settingRows(effective), ...(await placeRows())]
  if (options.json) {
    const settings = Object.fromEntries(rows.map(({ name, value, from, where, variable }) => [name, { value, from, where, variable }]))
    return printJson({ file: effective.file ?? null, settings, strangers: effective.strangers })
  }
  printLine(effective.file === undefined ? 'There is no config file.' : `config file ${harmless(effective.file)}`)
  printLine()
  const columns = [
    { title: 'setting', text: (row: Row) => row.name },
    { title: 'value', text: (row: Row) => row.text },
    { title: 'from', text: (row: Row) => (row.from === 'default' || row.from === 'file' ? row.from : row.where) },
  ]
  for (const line of tableLines(columns, rows)) printLine(line)
  for (const { variable, meant } of effective.strangers)
    printNotice(harmless(`cox: ${variable} is no setting and is not heeded: did you mean ${meant}?`))
}

async function check(path: string, options: ConfigOptions): Promise<void> {
  const { fileValues } = await import('../config/effective.ts')
  const { loadConfigFile } = await import('../config/file.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const file = await loadConfigFile(path)
  const values = fileValues(file)
  const said = settingList.flatMap(([name, setting]) => (values[name] === undefined ? [] : [{ name, ...written(setting, values[name]) }]))
  if (options.json) {
    printJson({ ok: true, file: file.path, settings: Object.fromEntries(said.map(({ name, value }) => [name, value])) })
    return
  }
  printLine(`${harmless(file.path)} is well: ${said.length === 0 ? 'it says nothing' : harmless(said.map(({ name }) => name).join(', '))}.`)
}
