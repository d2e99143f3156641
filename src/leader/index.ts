// The face of the leader's shell.
export { type Authenticator, firstOf } from './access/authenticate.ts'
export type { Authority, Founding, NodeAct, NodeOptions } from './authority.ts'
export { Candidate, type CandidateOptions } from './candidate.ts'
export type { Vitals } from './context.ts'
export { type Endpoint, Leader, type LeaderOptions } from './leader.ts'
export { recover } from './recover.ts'
export type { SecretSealer } from './secrets.ts'
