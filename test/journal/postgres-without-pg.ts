// Owns a process in which the package `pg` is not installed, or is looked for among what was loaded: it prints what it finds.
// Must not be run but by the test beside it.
import { createRequire, registerHooks } from 'node:module'

const [mode, url] = process.argv.slice(2)
if (mode === 'missing')
  registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier === 'pg') throw Object.assign(new Error('Cannot find package pg'), { code: 'ERR_MODULE_NOT_FOUND' })
      return next(specifier, context)
    },
  })
const { openPostgresStore } = await import('../../src/journal/index.ts')
const loaded = (): boolean => Object.keys(createRequire(import.meta.url).cache).some(path => path.includes('/node_modules/pg/'))
const before = loaded()
const error = await openPostgresStore({ url: url! }).catch((refusal: unknown) => refusal as { code: string; message: string })
console.log(
  JSON.stringify({ before, after: loaded(), code: 'code' in error ? error.code : '', message: 'message' in error ? error.message : '' }),
)
