// How `npm run test:hosts` is asked, and where it says that there can be no hosts. The rows themselves need root, and are run by hand.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { asked } from '../../chaos/hosts/arguments.ts'
import { type HostMachine, whyNoHosts } from '../../chaos/hosts/network.ts'
import { percentile, timesText } from '../../chaos/hosts/row.ts'
import { hostRows } from '../../chaos/hosts/rows/index.ts'

/** The names of the rows that these arguments ask for. */
function rowsFor(...args: string[]): string[] {
  const found = asked(args, hostRows)
  assert('rows' in found, JSON.stringify(found))
  return found.rows.map(row => row.name)
}

describe('the arguments of test:hosts', () => {
  it('choose rows by number and by name, and rounds', () => {
    assert.deepEqual(
      rowsFor(),
      hostRows.map(row => row.name),
    )
    assert.deepEqual(rowsFor('--row', '7'), ['leader-cut-off'])
    assert.deepEqual(rowsFor('--row', '1', '--row', '12'), ['leader-killed', 'store-member-killed'])
    assert.deepEqual(rowsFor('--row', '51', '--only', 'strangers'), ['strangers'])
    const found = asked(['--rounds', '12'], hostRows)
    assert.equal('rounds' in found && found.rounds, 12)
    assert.deepEqual(asked(['--list'], hostRows), { show: 'list' })
    assert.deepEqual(asked(['--help'], hostRows), { show: 'help' })
  })

  it('are refused where they ask for nothing that there is', () => {
    for (const args of [['--row', '99'], ['--row', 'x'], ['--only', 'nothing'], ['--rounds', '0'], ['--rounds', '1.5'], ['--what'], ['7']])
      assert.ok('wrong' in asked(args, hostRows), args.join(' '))
  })

  it('have rows of different names', () => {
    assert.equal(new Set(hostRows.map(row => row.name)).size, hostRows.length)
  })
})

describe('a machine that cannot have hosts', () => {
  const good: HostMachine = { platform: 'linux', user: 0, run: () => {} }
  const without = (command: string, word: string): HostMachine => ({
    ...good,
    run: (name, args) => {
      if (name === command && args.includes(word)) throw new Error('no')
    },
  })

  it('is told by what is missing', () => {
    assert.equal(whyNoHosts(good), undefined)
    assert.match(whyNoHosts({ ...good, platform: 'darwin' })!, /Linux/)
    assert.match(whyNoHosts({ ...good, user: 1000 })!, /need root/)
    assert.match(whyNoHosts({ ...good, user: undefined })!, /need root/)
    assert.match(whyNoHosts(without('ip', '-V'))!, /iproute2/)
    assert.match(whyNoHosts(without('nft', '--version'))!, /nftables/)
    assert.match(whyNoHosts(without('ip', 'netns'))!, /does not let/)
  })
})

it('median and maximum of times', () => {
  assert.equal(percentile([5, 1, 4, 2, 3], 0.5), 3)
  assert.equal(percentile([5, 1], 0.99), 5)
  assert.equal(timesText('next write', [10.4, 30, 20]), 'next write: median 20 ms, max 30 ms of 3')
})
