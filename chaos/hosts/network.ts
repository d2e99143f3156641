// Owns "hosts" on one machine: network namespaces on one bridge, each with an address of its own, whose packets to one another can be dropped.
// Must not touch the machine's own network: the bridge lies in a namespace of its own, and nothing routes out.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'

/** Addresses of a range that is kept for tests of networks (RFC 2544). */
const net = '198.18.0'

const rules = `table inet cut {
  set deaf { type ipv4_addr; }
  set mute { type ipv4_addr; }
  chain in { type filter hook input priority 0; ip saddr @deaf counter drop; }
  chain out { type filter hook output priority 0; ip daddr @mute counter drop; }
}
`

/** What of a machine decides whether it can have hosts. */
export interface HostMachine {
  platform: string
  user: number | undefined
  /** Runs a command to its end; throws if it cannot, or fails. */
  run(command: string, args: readonly string[]): void
}

const thisMachine: HostMachine = {
  platform: process.platform,
  user: process.getuid?.(),
  run: (command, args) => void execFileSync(command, args, { stdio: 'ignore' }),
}

/** Why this machine cannot have hosts, or undefined. */
export function whyNoHosts({ platform, user, run }: HostMachine = thisMachine): string | undefined {
  if (platform !== 'linux') return 'network namespaces are a thing of Linux'
  if (user !== 0) return 'network namespaces need root'
  for (const [tool, packageName] of [
    ['ip', 'iproute2'],
    ['nft', 'nftables'],
  ] as const) {
    try {
      run(tool, [tool === 'ip' ? '-V' : '--version'])
    } catch {
      return `${tool} is not installed (Debian's package ${packageName})`
    }
  }
  const probe = `cox-probe-${process.pid}`
  try {
    run('ip', ['netns', 'add', probe])
    run('ip', ['netns', 'delete', probe])
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

  /** Those of a run that another process has made. */
  static of(name: string, count: number): Hosts {
    return new Hosts(name, count)
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

  /** One call for all: what is cut is cut at one moment. */
  #add(host: number, sets: readonly ('deaf' | 'mute')[], others: readonly number[]): void {
    if (others.length === 0) return
    const elements = others.map(other => this.address(other)).join(', ')
    const lines = sets.map(set => `add element inet cut ${set} { ${elements} }`)
    this.run(host, 'nft', ['-f', '-'], process.env, `${lines.join('\n')}\n`)
  }

  /** Nothing of `from` arrives at these any more; packets are dropped, as when a cable is pulled: connections hang. */
  cutOneWay(from: number, to: readonly number[]): void {
    this.#add(from, ['mute'], to)
  }

  /** Nothing of these arrives at `to` any more. */
  cutFrom(from: readonly number[], to: number): void {
    this.#add(to, ['deaf'], from)
  }

  /** Nothing passes between a host and these. */
  cut(host: number, others: readonly number[]): void {
    this.#add(host, ['deaf', 'mute'], others)
  }

  /** The host is cut from all others. */
  isolate(host: number): void {
    this.cut(
      host,
      Array.from({ length: this.#count }, (_, at) => at + 1).filter(other => other !== host),
    )
  }

  /** Everything passes again. */
  heal(): void {
    for (let host = 1; host <= this.#count; host++)
      this.run(host, 'nft', ['-f', '-'], process.env, 'flush set inet cut deaf\nflush set inet cut mute\n')
  }

  /** Packets that a host's cuts have dropped since it is up: the proof that a cut was felt. */
  dropped(host: number): number {
    const listed = this.run(host, 'nft', ['list', 'table', 'inet', 'cut'])
    return [...listed.matchAll(/counter packets (\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0)
  }

  /** The processes that run on a host. */
  pids(host: number): number[] {
    return ip('netns', 'pids', this.#space(host)).split('\n').filter(Boolean).map(Number)
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
