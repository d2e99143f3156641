// Owns a process in which the package `@aws-sdk/client-s3` is not installed, or is looked for among what was loaded: it prints what it finds.
// Must not be run but by the test beside it.
import { createRequire, registerHooks } from 'node:module'

const name = '@aws-sdk/client-s3'
const address = { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1', AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' }
Object.assign(process.env, address)
if (process.argv[2] === 'missing')
  registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier === name) throw Object.assign(new Error(`Cannot find package ${name}`), { code: 'ERR_MODULE_NOT_FOUND' })
      return next(specifier, context)
    },
  })
const { openS3 } = await import('../../src/platform/node/index.ts')
const loaded = (): boolean => Object.keys(createRequire(import.meta.url).cache).some(path => path.includes(`/node_modules/${name}/`))
const before = loaded()
const error = await openS3('s3://test').catch((refusal: unknown) => refusal as { code: string; message: string })
console.log(
  JSON.stringify({ before, after: loaded(), code: 'code' in error ? error.code : '', message: 'message' in error ? error.message : '' }),
)
