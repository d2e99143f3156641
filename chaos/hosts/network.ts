// Owns "hosts" on one machine: network namespaces on one bridge, each with an address of its own, whose packets to one another can be dropped.
// Must not touch the machine's own network: the bridge lies in a namespace of its own, and nothing routes out.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'

/** Addresses of a range that is kept for tests of networks (RFC 2544). */
const net = '198.18.0'

const rules = `table inet cut {
  set deaf { type ipv4_addr; }
  set mute { type ipv4_addr; }
  chain in { type filter hook input priority 0; ip saddr @deaf drop; }
  chain out { type filter hook output priority 0; ip daddr @mute drop; }
}
`

/** Why this machine cannot have hosts, or undefined. */
export function whyNoHosts(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  for (const [tool, packageName] of [
    ['ip', 'iproute2'],
    ['nft', 'nftables'],
  ] as const) {
    try {
      execFileSync(tool, [tool === 'ip' ? '-V' : '--version'], { stdio: 'ignore' })
    } catch {
      return `${tool} is not installed (Debian's package ${packageName})`
    }
  }
  const probe = `cox-probe-${process.pid}`
  try {
    execFileSync('ip', ['netns', 'add', probe], { stdio: 'ignore' })
    execFileSync('ip', ['netns', 'delete', probe], { stdio: 'ignore' })
  } catch {
    return 'this system does not let root make network namespaces'
  }
  return undefined
}

/** Some hosts, numbered from 1. Whoever makes them takes them `down`. */
export class Hosts {
  readonly #name: string
  readonly #count: number

  private constructor(name: string, count: number) {
    this.#name = name
    this.#count = count
  }

  /** Makes so many hosts; `name` tells those of one run from those of others. */
  static up(name: string, count: number): Hosts {
    const hosts = new Hosts(name, count)
    hosts.down()
    const bridge = `${name}-switch`
    ip('netns', 'add', bridge)
    ip('-n', bridge, 'link', 'add', 'bridge', 'type', 'bridge')
    ip('-n', bridge, 'link', 'set', 'bridge', 'up')
    for (let host = 1; host <= count; host++) {
      const space = hosts.#space(host)
      ip('netns', 'add', space)
      ip('-n', bridge, 'link', 'add', `port${host}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
      ip('-n', bridge, 'link', 'set', `port${host}`, 'master', 'bridge', 'up')
      ip('-n', space, 'addr', 'add', `${hosts.address(host)}/24`, 'dev', 'eth0')
      ip('-n', space, 'link', 'set', 'eth0', 'up')
      ip('-n', space, 'link', 'set', 'lo', 'up')
      execFileSync('ip', ['netns', 'exec', space, 'nft', '-f', '-'], { input: rules, stdio: ['pipe', 'ignore', 'pipe'] })
    }
    return hosts
  }

  #space(host: number): string {
    return `${this.#name}-h${host}`
  }

  get count(): number {
    return this.#count
  }

  address(host: number): string {
    return `${net}.${host}`
  }

  /** Starts a process on a host. */
  spawn(host: number, command: string, args: readonly string[], options: Parameters<typeof spawn>[2] = {}): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.#space(host), command, ...args], options)
  }

  /** Runs a command on a host to its end; its output. Throws with its stderr. */
  run(host: number, command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env, input?: string): string {
    return execFileSync('ip', ['netns', 'exec', this.#space(host), command, ...args], {
      encoding: 'utf8',
      env,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(input !== undefined && { input }),
    })
  }

  #set(host: number, set: 'deaf' | 'mute', other: number): void {
    ip('netns', 'exec', this.#space(host), 'nft', 'add', 'element', 'inet', 'cut', set, `{ ${this.address(other)} }`)
  }

  /** Nothing of `from` arrives at `to` any more; packets are dropped, as when a cable is pulled: connections hang. */
  cutOneWay(from: number, to: number): void {
    this.#set(to, 'deaf', from)
    this.#set(from, 'mute', to)
  }

  /** Nothing passes between the two. */
  cut(one: number, other: number): void {
    this.cutOneWay(one, other)
    this.cutOneWay(other, one)
  }

  /** The host is cut from all others, or from all but these. */
  isolate(host: number, except: readonly number[] = []): void {
    for (let other = 1; other <= this.#count; other++) if (other !== host && !except.includes(other)) this.cut(host, other)
  }

  /** Everything passes again. */
  heal(): void {
    for (let host = 1; host <= this.#count; host++)
      for (const set of ['deaf', 'mute']) ip('netns', 'exec', this.#space(host), 'nft', 'flush', 'set', 'inet', 'cut', set)
  }

  /** Kills what still runs on the hosts, and takes them away. */
  down(): void {
    const own = new RegExp(`^${this.#name}-(h\\d+|switch)$`)
    const names = ip('netns', 'list')
      .split('\n')
      .map(line => line.split(' ')[0]!)
      .filter(name => own.test(name))
    for (const name of names) {
      for (const pid of ip('netns', 'pids', name).split('\n').filter(Boolean)) {
        try {
          process.kill(Number(pid), 'SIGKILL')
        } catch {
          // It has ended by itself.
        }
      }
      ip('netns', 'delete', name)
    }
  }
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
