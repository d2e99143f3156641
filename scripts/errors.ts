// Owns docs/errors.md: the page of all codes with their advice, made from the table in src/protocol/errors.ts.
// Must not say anything that the table does not say.

const head = `# Errors

Made from \`src/protocol/errors.ts\` by \`npm run docs\`; a check holds the two together. Every expected error is a \`CoxswainError\` with
\`code\`, \`message\` (what happened), \`id\` (to whom) and \`advice\` (what to do, as below). \`OVERLOADED\` is an \`OverloadedError\` with
\`retryAfterMs\`; a task that failed for good is a \`TaskFailedError\` with the remote stack and all attempts. Broken assumptions are no
expected errors: they end the process.
`

/** The page, from the text of src/protocol/errors.ts. */
export function errorsPage(source: string): string {
  const table = /export const errorAdvice = \{\n([\s\S]*?)\n\} as const/.exec(source)?.[1] ?? ''
  let page = head
  for (const [, group, code, single, double] of table.matchAll(
    /^ {2}(?:\/\/ --- (.+)|([A-Z_]+):\s+(?:'((?:[^'\\]|\\.)*)'|"([^"]*)"),)$/gm,
  )) {
    if (group) page += `\n## ${group[0]!.toUpperCase()}${group.slice(1)}\n\n| code | what to do |\n| --- | --- |\n`
    if (code) page += `| \`${code}\` | ${(single ?? double ?? '').replaceAll("\\'", "'").replaceAll('|', '\\|')} |\n`
  }
  return page
}
