// Owns finding a Node that runs this project (>= 24) on a machine whose own Node is older, and running a script with it.
// Must not do anything else; it is plain JavaScript because it has to run on Node 20.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const home = join(dirname(fileURLToPath(import.meta.url)), 'node24')
const packageName = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
const bundled = join(home, 'node_modules', packageName, 'bin', 'node')

/** The path of a Node >= 24: this one, or the one of the npm package pinned in scripts/node24/package-lock.json. */
function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  if (existsSync(bundled)) return bundled
  process.stderr.write(`Node ${process.versions.node} is older than 24: installing ${packageName} from npm, once.\n`)
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm']
  const install = spawnSync(
    npm[0],
    [...npm.slice(1), 'ci', '--prefix', home, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      stdio: ['ignore', 2, 2],
      cwd: home,
    },
  )
  if (install.status !== 0 || !existsSync(bundled)) {
    process.stderr.write(`Could not install Node 24 (${packageName}). Install Node 24 or newer yourself and try again.\n`)
    process.exit(1)
  }
  return bundled
}

const node = findNode()
// Everything that is started below finds the same Node first on its path.
const path = `${dirname(node)}:${process.env.PATH ?? ''}`
const child = spawn(node, ['--disable-warning=ExperimentalWarning', ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, PATH: path },
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => {
  if (signal) {
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  } else process.exit(code ?? 1)
})
