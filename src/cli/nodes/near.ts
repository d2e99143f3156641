// Owns finding this project's own modules: what one of them imports by a path is where the path says.
// Must not answer for anybody else's modules.
import { registerHooks } from 'node:module'

const root = new URL('../../', import.meta.url).href
const format = import.meta.url.endsWith('.ts') ? 'module-typescript' : 'module'

/** From now on. Node would look each of them up on the disk, link by link and with the package.json of every folder: a quarter of a candidate's start. */
export function trustOwnPaths(): void {
  registerHooks({
    resolve(specifier, context, next) {
      const { parentURL } = context
      if (!specifier.startsWith('.') || !parentURL?.startsWith(root)) return next(specifier, context)
      return { url: new URL(specifier, parentURL).href, format, shortCircuit: true }
    },
  })
}
