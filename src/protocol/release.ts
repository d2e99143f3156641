// Owns the release's number; a check holds it to package.json.
// Must not hold the versions of messages and records: those are limits.

/** The release of this code, as in package.json. */
export const release = '0.1.0'
