// Owns the table of all settings in docs/configuration.md, made from their schema.
// Must not touch the rest of the page, which people write.
import { flagOf, type Setting, settingList, variableOf } from '../src/cli/config/schema.ts'

const marks = /(<!-- settings: [^>]*-->\n)[\s\S]*(<!-- settings end -->)/

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

/** What holds where nobody says anything, as the table says it. */
function standing({ standard, kind }: Setting): string {
  if ('text' in standard) return standard.text === 'none' ? '' : standard.text
  return standard.value === '' ? '' : `\`${String(kind.write(standard.value))}\``
}

function row([name, setting]: (typeof settingList)[number]): string {
  const { kind, summary, value, secret } = setting
  const flag = `\`${flagOf(name)}${value === '' ? '' : ` <${value}>`}\``
  const words = `${summary}${secret ? ' (secret: only its path is ever shown)' : ''}`
  return `| \`${name}\` | ${flag} | \`${variableOf(name)}\` | ${cell(kind.what)} | ${cell(standing(setting))} | ${cell(words)} |\n`
}

/** The page with its table as the schema has it now. */
export function configurationPage(page: string): string {
  const head = '| in a file | flag | variable | value | default | what it says |\n| --- | --- | --- | --- | --- | --- |\n'
  return page.replace(marks, (_, before: string, after: string) => `${before}\n${head}${settingList.map(row).join('')}\n${after}`)
}
