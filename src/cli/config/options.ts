// Owns settings as flags of a command: their declaration, and what a command line, the environment and the config file come to.
// Must not have a default of its own: schema.ts has them.
import { type Command, Option } from 'commander'
import type { Effective } from './effective.ts'
import { flagOf, type Setting, type SettingValues, settingList } from './schema.ts'

/** The flag that names a config file. */
export interface ConfigOption {
  config?: string
}

/** Adds all settings as flags, and `--config`. */
export function withSettings(command: Command): Command {
  for (const [name, setting] of settingList) for (const option of optionsOf(flagOf(name), setting)) command.addOption(option)
  return command.option('--config <file>', 'config file (default: COX_CONFIG, else the nearest coxswain.config.ts, .js, .mjs or .json)')
}

function optionsOf(flag: string, setting: Setting): Option[] {
  const { kind, value, summary, standard } = setting
  if (value === '') {
    // A file may say yes where a command line says no.
    return [new Option(flag, summary), new Option(flag.replace('--', '--no-'), `not: ${summary}`).hideHelp()]
  }
  const standing = 'text' in standard && standard.text !== 'none' ? ` (default: ${standard.text})` : ''
  const option = new Option(`${flag} <${value}>`, summary + standing)
  option.argParser((text: string, before: unknown) => {
    const parsed = kind.parse(text, process.cwd())
    return kind.adds && Array.isArray(before) && Array.isArray(parsed) ? [...before, ...parsed] : parsed
  })
  if ('value' in standard && standard.value !== '') option.default(standard.value, String(kind.write(standard.value)))
  return [option]
}

/** The values of the flags that were really given. */
function givenFlags(command: Command): Partial<SettingValues> {
  const all: Record<string, unknown> = command.opts()
  return Object.fromEntries(
    settingList.map(([name]) => [name, all[name]] as const).filter(([name]) => command.getOptionValueSource(name) === 'cli'),
  )
}

/**
 * What holds for a command with settings. A cluster that belongs to a program takes what the program says and nothing else: not the
 * port, nor the journal, of the cluster that this folder or this environment is about.
 */
export async function settingsOf(command: Command, owned = false): Promise<Effective> {
  const { findConfigFile, loadConfigFile } = await import('./file.ts')
  const { effectiveSettings } = await import('./effective.ts')
  const { config } = command.opts<ConfigOption>()
  const environment = owned ? {} : process.env
  const path = config ?? (owned ? undefined : environment['COX_CONFIG'] || findConfigFile(process.cwd()))
  const file = path === undefined ? undefined : await loadConfigFile(path)
  return effectiveSettings({ flags: givenFlags(command), environment, file, folder: process.cwd() })
}
