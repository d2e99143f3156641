// Owns which value of a setting holds: that of a flag before the environment's, that before the file's, that before the default.
// Must not read files or the process's environment: both are handed in.
import { CommanderError } from 'commander'
import { CoxswainError } from '../../protocol/errors.ts'
import { nearest } from '../nearest.ts'
import { type ConfigFile, configError } from './file.ts'
import { flagOf, type Setting, type SettingName, type SettingValues, settingList, settings, variableOf } from './schema.ts'

/** Where a value came from. */
export type Source = 'flag' | 'environment' | 'file' | 'default'

/** What holds, and why. */
export interface Effective {
  values: SettingValues
  /** Of each setting: where its value came from, and the flag, variable or file itself. */
  sources: Record<SettingName, { from: Source; where: string }>
  /** The config file, if there is one. */
  file: string | undefined
  /** Variables that look like settings and are none, with what was probably meant. */
  strangers: { variable: string; meant: string }[]
}

/** What is said, and where. */
export interface Said {
  /** Values of the flags that were given, parsed. */
  flags: Readonly<Partial<SettingValues>>
  environment: Readonly<Record<string, string | undefined>>
  file: ConfigFile | undefined
  /** The folder that paths in flags and variables are relative to. */
  folder: string
}

/** Variables that are no settings of `cox up`. */
export const otherVariables = ['COX_HOME', 'COX_URL', 'COX_TOKEN_FILE', 'COX_CONFIG', 'COX_ENCRYPTION_KEY', 'COX_DEBUG']

const shownCharactersMax = 60

/** A value for a complaint: not all of a long one, and no password of an address. */
function shown(value: unknown): string {
  const text = (typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value))).replace(/:[^/@:"]*@/g, ':…@')
  return text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax)}…` : text
}

/** What is wrong with a text for a setting, or its value. */
function parsed(setting: Setting, text: string, folder: string): { value: unknown } | { wrong: string } {
  try {
    return { value: setting.kind.parse(text, folder) }
  } catch (error) {
    if (error instanceof CommanderError || error instanceof CoxswainError) return { wrong: error.message }
    throw error
  }
}

/** The settings that a config file holds; throws naming everything that is wrong with it. */
export function fileValues(file: ConfigFile): Partial<SettingValues> {
  const values: Record<string, unknown> = {}
  const wrong: string[] = []
  const folder = file.path.replace(/[^/\\]*$/, '')
  for (const [key, written] of Object.entries(file.content)) {
    const setting: Setting | undefined = Object.hasOwn(settings, key) ? settings[key as SettingName] : undefined
    if (setting === undefined) wrong.push(unknownKey(key))
    // As if it were not there: `port: process.env.PORT && Number(process.env.PORT)`.
    if (setting === undefined || (written === undefined && !file.path.endsWith('.json'))) continue
    const text = setting.kind.text(written)
    const read = text === undefined ? { wrong: `It must be ${setting.kind.what}.` } : parsed(setting, text, folder)
    if ('value' in read) values[key] = read.value
    else wrong.push(`${key} is ${shown(written)}. ${read.wrong}`)
  }
  if (wrong.length > 0) throw configError(file.path, wrong.join('\n  '))
  return values as Partial<SettingValues>
}

function unknownKey(key: string): string {
  if (otherVariables.includes(variableOf(key))) return `${key} is no setting of a file: only the variable ${variableOf(key)} says it.`
  const near = nearest(key, Object.keys(settings))
  return `${shown(key)} is no setting${near === undefined ? '; docs/configuration.md has them all.' : `: did you mean ${near}?`}`
}

/** The settings that the environment holds. A variable that is empty says nothing. */
function environmentValues({ environment, folder }: Said): Partial<SettingValues> {
  const values: Record<string, unknown> = {}
  const wrong: string[] = []
  for (const [name, setting] of settingList) {
    const text = environment[variableOf(name)]
    if (text === undefined || text === '') continue
    const read = parsed(setting, text, folder)
    if ('value' in read) values[name] = read.value
    else wrong.push(`${variableOf(name)} is ${shown(text)}. ${read.wrong}`)
  }
  if (wrong.length > 0) throw new CoxswainError('INVALID_CONFIG', wrong.join('\n  '))
  return values as Partial<SettingValues>
}

/** Variables of ours that nobody heeds, where one that is heeded is near. */
function strangers(environment: Said['environment']): Effective['strangers'] {
  const known = [...settingList.map(([name]) => variableOf(name)), ...otherVariables]
  return Object.keys(environment)
    .filter(name => name.startsWith('COX_') && !known.includes(name))
    .map(variable => ({
      variable,
      meant: nearest(
        variable.slice(4),
        known.map(name => name.slice(4)),
      ),
    }))
    .flatMap(({ variable, meant }) => (meant === undefined ? [] : [{ variable, meant: `COX_${meant}` }]))
}

/** What holds where this is said. */
export function effectiveSettings(said: Said): Effective {
  const fromEnvironment = environmentValues(said)
  const fromFile = said.file === undefined ? {} : fileValues(said.file)
  const values: Record<string, unknown> = {}
  const sources = {} as Effective['sources']
  for (const [name, setting] of settingList) {
    const layers = [
      { from: 'flag', where: flagOf(name), values: said.flags },
      { from: 'environment', where: variableOf(name), values: fromEnvironment },
      { from: 'file', where: said.file?.path ?? '', values: fromFile },
    ] as const
    const layer = layers.find(one => one.values[name] !== undefined)
    if (layer !== undefined) values[name] = layer.values[name]
    else if ('value' in setting.standard) values[name] = setting.standard.value
    sources[name] = layer === undefined ? { from: 'default', where: '' } : { from: layer.from, where: layer.where }
  }
  // Every setting with a fixed default has a value now, each of the type that its kind parses.
  return { values: values as unknown as SettingValues, sources, file: said.file?.path, strangers: strangers(said.environment) }
}
