// The face of the CLI to tests and tools: where a local cluster keeps what. Users meet the CLI by its command.
// Must not start anything.
export { Home, homePath } from './state/home.ts'
export { readToken, type TokenRole } from './state/tokens.ts'
