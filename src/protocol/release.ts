// Owns the release's number. A test holds it to package.json.

/** The release of this code, as in package.json. */
export const release = '0.1.0'
