// Owns taking a quick start out of a README: the files that it shows, and the commands that it says to run.
// Must not run anything.

/** What a reader of the README is asked to do. */
export interface QuickStart {
  /** Contents by file name. */
  files: Record<string, string>
  commands: string[]
}

/** The fenced block right behind each comment `test: quick-start NAME`; the one named `commands` is the shell's. */
export function quickStart(markdown: string): QuickStart {
  const files: Record<string, string> = {}
  const commands: string[] = []
  for (const [, name, block] of markdown.matchAll(/<!-- test: quick-start (\S+) -->\s*\n```\w*\n([\s\S]*?)\n```/g)) {
    if (name === 'commands') commands.push(...block!.split('\n').filter(line => line.trim() !== '' && !line.startsWith('#')))
    else files[name!] = `${block}\n`
  }
  return { files, commands }
}
