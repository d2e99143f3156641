// Holds the journal on PostgreSQL to the one suite, on a real server.
// Must not hold what only PostgreSQL can show: that is in the files beside it.
import { after, before, describe } from 'node:test'
import { conformance } from '../../src/journal/conformance/index.ts'
import { postgresMissing, TestPostgres } from '../services/postgres.ts'
import { postgresPlace } from './postgres-place.ts'

describe('on a real PostgreSQL', { skip: postgresMissing }, () => {
  let server: TestPostgres
  before(async () => {
    server = await TestPostgres.start()
  })
  after(() => server?.remove())

  conformance({ name: 'postgres', rivalClaim: 'wins', place: async rowBytesKept => postgresPlace(server, rowBytesKept) })
})
