// Owns what the addresses in settings must look like: of journals, of nodes, of the store of blocks.
// Must not connect to them, and must not repeat a password that somebody wrote into one.
import { InvalidArgumentError } from 'commander'
import { CoxswainError } from '../../protocol/errors.ts'

const hostPattern = /^(\[[\da-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/i
const portMax = 65_535

function isHost(text: string): boolean {
  const match = hostPattern.exec(text)
  return match !== null && (match[2] === undefined || Number(match[2]) <= portMax)
}

/** What to listen on: an address or a name, without a port. */
export function checkHost(text: string): void {
  if (!/^[^\s/@]+$/.test(text)) throw new InvalidArgumentError('It must be an address or a name, such as 127.0.0.1 or ::1.')
}

/** The address of a journal: `sqlite`, `etcd://h1:2379,h2:2379/prefix`, `etcds://…`, `postgres://user@host/database`. */
export function checkJournal(text: string): void {
  if (text === 'sqlite') return
  const match = /^(etcds?|postgres(?:ql)?):\/\/(?:([^@]*)@)?([^/?#]*)([^?#]*)(?:\?(.*))?$/s.exec(text)
  if (!match) throw new InvalidArgumentError('It must be sqlite, or begin with etcd://, etcds:// or postgres://.')
  const [, scheme = '', user = '', hosts = '', , query = ''] = match
  if (user.includes(':') || /(^|&)(ssl)?password=/i.test(query)) {
    const file = scheme.startsWith('etcd') ? 'etcdPasswordFile' : 'postgresPasswordFile'
    throw new CoxswainError('INVALID_CONFIG', `The address of the journal holds a password: put it into a file and name that with ${file}.`)
  }
  // PostgreSQL's own client takes an empty host for the socket of this machine.
  if (hosts === '' && !scheme.startsWith('etcd')) return
  if (!hosts.split(',').every(isHost)) throw new InvalidArgumentError('It must name hosts as HOST:PORT, separated by commas.')
}

/** `HOST:PORT` for a node, with the least port that makes sense. */
export function checkAddress(leastPort: number): (text: string) => void {
  return text => {
    const port = isHost(text) ? hostPattern.exec(text)?.[2] : undefined
    if (port === undefined || Number(port) < leastPort)
      throw new InvalidArgumentError('It must be HOST:PORT, such as 10.0.0.7:4700 or [fd00::7]:4700.')
  }
}

/** Nothing, or a bucket and what names in it begin with. */
export function checkBlocks(text: string): void {
  if (text !== '' && !/^s3:\/\/[a-z\d][a-z\d.-]+(\/[^\s?#]*)?$/.test(text))
    throw new InvalidArgumentError('It must be like s3://bucket/prefix.')
}
