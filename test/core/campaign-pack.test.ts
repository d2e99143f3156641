// Shows what random.test.ts shows by many sequences, in which every rare thing comes about. Without coverage, under which they take three times as long.
// Must not be all that reaches a line of core.
import { test } from 'node:test'
import { playMany } from './random.ts'

test('many sequences of events keep the laws, placing by pack', () => playMany('pack', 20262))
