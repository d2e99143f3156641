// Owns which texts must not leave this process in logs and errors: the secrets that its tasks were given.
// Must not keep anything else of them.

/** Shorter texts are words of the language: to take them out would tell more than it hides. */
const textLengthMin = 4

const known = new Map<string, string>()
let longestFirst: (readonly [text: string, mark: string])[] = []

/** From now on this text is written as `[secret NAME]`; of several lines, each line for itself too. */
export function hide(name: string, text: string): void {
  const before = known.size
  for (const part of new Set([text, ...text.split('\n')])) {
    const trimmed = part.trim()
    if (trimmed.length >= textLengthMin) known.set(trimmed, `[secret ${name}]`)
  }
  if (known.size > before) longestFirst = [...known].sort(([one], [other]) => other.length - one.length)
}

/** The text without secrets. */
export function redacted(text: string): string {
  let clean = text
  for (const [secret, mark] of longestFirst) if (clean.includes(secret)) clean = clean.replaceAll(secret, mark)
  return clean
}
