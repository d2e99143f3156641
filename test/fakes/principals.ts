// Owns who the tokens of tests stand for. Must not hold real ones.
import { everything, nodeRoles, type Principal } from '../../src/protocol/index.ts'

/** By token: `client` is a user who may do everything, `worker` any node. */
export const principals: Readonly<Record<string, Principal | undefined>> = {
  client: { kind: 'user', name: 'local', role: 'admin', scope: everything, credential: 'local' },
  worker: { kind: 'node', name: '', roles: nodeRoles, credential: 'local' },
}
