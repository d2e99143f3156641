// Owns who is answered at a route that is no connection. Must not answer anything itself.
import type { HttpAnswer, HttpRequest } from '../../platform/index.ts'
import { nodeRoles, type Principal } from '../../protocol/index.ts'
import { includes, type Route, type RouteRule, routePolicy } from './policy.ts'

/** What answers a request that was let through. */
export type RouteHandler = (request: HttpRequest, principal: Principal | undefined) => Promise<HttpAnswer>
/** What answers at each route; the transport itself answers /healthz. */
export type Routes = { readonly [R in Exclude<Route, 'GET /healthz'>]?: RouteHandler }

/** True if this one, or somebody who is nobody, may ask. */
export function mayAsk(rule: RouteRule, principal: Principal | undefined): boolean {
  if (rule === 'anyone' || rule === 'own proof') return true
  if (!principal) return false
  if (principal.kind === 'node') return nodeRoles.some(role => role === rule && principal.roles.includes(role))
  return rule !== 'worker' && rule !== 'candidate' && includes(principal.role, rule)
}

/** The answer at a route that there is, if it may be had; undefined: there is nothing of that name, which is also what the others hear. */
export async function answerRoute(
  routes: Routes,
  request: HttpRequest,
  principal: Principal | undefined,
  denied: () => void,
): Promise<HttpAnswer | undefined> {
  const name = `${request.method} ${request.path}`
  if (!Object.hasOwn(routePolicy, name) || !Object.hasOwn(routes, name)) return undefined
  const route = name as keyof Routes
  if (mayAsk(routePolicy[route], principal)) return routes[route]?.(request, principal)
  denied()
  return principal ? { status: 403, type: 'text/plain', body: 'forbidden\n' } : undefined
}
