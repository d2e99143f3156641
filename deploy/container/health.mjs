// Owns the health check of a container: does the node in it answer `GET /healthz`? A leader says 200, a standby 503, and both are well.
// Must not need anything but Node. `health.mjs [PORT]`; without a port, that of COX_LISTEN, else 4700.
import { request as plain } from 'node:http'
import { request as secured } from 'node:https'

const timeoutMs = 4_000
const portDefault = 4700

const port = Number(process.argv[2] ?? /:(\d+)$/.exec(process.env.COX_LISTEN ?? '')?.[1] ?? portDefault)

/** The status that it answers with, or why it does not. */
function ask(request, options) {
  return new Promise(resolve => {
    const asked = request({ host: '127.0.0.1', port, path: '/healthz', timeout: timeoutMs, ...options }, answer => {
      answer.resume()
      resolve(answer.statusCode)
    })
    asked.on('timeout', () => asked.destroy(new Error(`it said nothing for ${timeoutMs} ms`)))
    asked.on('error', error => resolve(error.message))
    asked.end()
  })
}

// We ask the process beside us whether it lives, and believe nothing else that it says: its certificate is for its name, not for 127.0.0.1.
const answers = [await ask(secured, { rejectUnauthorized: false }), await ask(plain, {})]
const well = answers.some(answer => answer === 200 || answer === 503)
if (!well) process.stderr.write(`port ${port}: ${answers.join('; ')}\n`)
process.exit(well ? 0 : 1)
