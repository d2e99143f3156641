// Owns the format of the journal's schema: its tables and their version, how they are made at the first start, and how they are recognised.
// Must not read or write rows of the journal.
import { CoxswainError } from '../../protocol/errors.ts'
import { recordVersion } from '../../protocol/limits.ts'
import { fault } from './faults.ts'
import { functions } from './functions.ts'
import { leaderChecksum } from './leader-row.ts'
import type { Session } from './session.ts'

/** Version of the tables and functions. A schema of another one is refused: there is none before the first. */
const postgresFormat = 1

/** What the table `format` says to whoever finds it. */
const magic = 'coxswain journal'

const nobody = { epoch: 0, leader: '', pid: 0, processStart: '', address: '' }

/** The channel on which a claim is told. */
export function channelOf(schema: string): string {
  return `${schema}_leader`
}

/**
 * Every write goes through the one row of `leader`, so that it is kept small and updated in place. What is kept in bulk is stored as it is: to compress it
 * would cost the server more than it saves. Ids are compared by their bytes.
 */
function tables(schema: string): string {
  const s = schema
  return `
  CREATE TABLE ${s}.format (id int PRIMARY KEY CHECK (id = 1), magic text NOT NULL, journal int NOT NULL, records int NOT NULL);
  INSERT INTO ${s}.format VALUES (1, '${magic}', ${postgresFormat}, ${recordVersion});
  CREATE TABLE ${s}.leader (
    id int PRIMARY KEY CHECK (id = 1),
    epoch bigint NOT NULL, holder text NOT NULL, writer bigint NOT NULL, last_index bigint NOT NULL, hash bytea NOT NULL,
    name text NOT NULL, pid bigint NOT NULL, process_start text NOT NULL, address text NOT NULL, checksum bigint NOT NULL,
    row_count bigint NOT NULL, row_bytes bigint NOT NULL, payload_count bigint NOT NULL, payload_bytes bigint NOT NULL, history_rows bigint NOT NULL
  ) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
  INSERT INTO ${s}.leader VALUES (1, 0, '', 0, 0, decode(repeat('00', 32), 'hex'), '', 0, '', '', ${leaderChecksum(nobody)}, 0, 0, 0, 0, 0);
  CREATE TABLE ${s}.lease (id int PRIMARY KEY CHECK (id = 1), epoch bigint NOT NULL, renewed_at timestamptz NOT NULL) WITH (fillfactor = 10);
  INSERT INTO ${s}.lease VALUES (1, 0, '-infinity');
  CREATE TABLE ${s}.journal (
    first_index bigint PRIMARY KEY, count int NOT NULL, epoch bigint NOT NULL,
    previous_hash bytea NOT NULL, hash bytea NOT NULL, manifest bytea NOT NULL, records bytea NOT NULL
  );
  ALTER TABLE ${s}.journal ALTER records SET STORAGE EXTERNAL, ALTER manifest SET STORAGE EXTERNAL;
  CREATE TABLE ${s}.payload (payload bigint PRIMARY KEY, size int NOT NULL, checksum bigint NOT NULL, bytes bytea NOT NULL);
  ALTER TABLE ${s}.payload ALTER bytes SET STORAGE EXTERNAL;
  CREATE TABLE ${s}.snapshot (
    last_index bigint PRIMARY KEY, epoch bigint NOT NULL, hash bytea NOT NULL,
    size bigint NOT NULL, checksum bytea NOT NULL, pieces text NOT NULL, fallback bigint NOT NULL
  );
  CREATE TABLE ${s}.snapshot_piece (pieces text NOT NULL, number int NOT NULL, bytes bytea NOT NULL, PRIMARY KEY (pieces, number));
  ALTER TABLE ${s}.snapshot_piece ALTER bytes SET STORAGE EXTERNAL;
  CREATE TABLE ${s}.history (
    number bigint PRIMARY KEY, place bigint NOT NULL UNIQUE, job text COLLATE "C" NOT NULL UNIQUE, name text NOT NULL, state smallint NOT NULL,
    labels text NOT NULL, submitted_ms bigint NOT NULL, payloads text NOT NULL, body bytea NOT NULL, checksum bigint NOT NULL
  );
  ALTER TABLE ${s}.history ALTER body SET STORAGE EXTERNAL;
  CREATE INDEX history_by_state ON ${s}.history (state, number);
  CREATE INDEX history_by_time ON ${s}.history (submitted_ms, number);
  CREATE TABLE ${s}.history_key (key bytea NOT NULL, state smallint NOT NULL, number bigint NOT NULL, PRIMARY KEY (key, state, number));
  `
}

/** Refuses a schema of another program or of another version; false where there is nothing yet. */
async function isOurs(session: Session, schema: string): Promise<boolean> {
  const text = 'SELECT relname AS name FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = $1'
  const names = (await session.query<{ name: string }>({ name: 'relations', text }, [schema])).map(({ name }) => name)
  if (names.length === 0) return false
  const foreign = new CoxswainError(
    'FOREIGN_DATA',
    `The schema ${schema} holds what is not Coxswain's: choose another with ?schema=NAME.`,
    {
      id: schema,
    },
  )
  if (!names.includes('format')) throw foreign
  const formats = await session
    .query<{ magic: string; journal: number; records: number }>({
      name: 'format',
      text: `SELECT magic, journal, records FROM ${schema}.format WHERE id = 1`,
    })
    .catch((error: unknown) => {
      if ((error as { code?: string }).code === '42703') throw foreign
      throw error
    })
  const [format] = formats
  if (format?.magic !== magic) throw foreign
  if (format.journal === postgresFormat && format.records <= recordVersion) return true
  const what =
    format.journal === postgresFormat ? ['records of version', format.records, recordVersion] : ['format', format.journal, postgresFormat]
  throw new CoxswainError(
    'JOURNAL_VERSION',
    `The journal in the schema ${schema} has ${what[0]} ${what[1]}; this release knows ${what[2]}.`,
    {
      id: schema,
    },
  )
}

/** Makes the tables where there are none. Two first starts do not meet: one waits for the other. */
async function create(session: Session, schema: string): Promise<void> {
  await session.run('BEGIN')
  try {
    await session.run(`SELECT pg_advisory_xact_lock(hashtextextended('coxswain ${schema}', 0))`)
    if (!(await isOurs(session, schema))) {
      const known = await session.query({ name: 'namespace', text: 'SELECT 1 AS one FROM pg_namespace WHERE nspname = $1' }, [schema])
      if (known.length === 0) await session.run(`CREATE SCHEMA ${schema}`)
      await session.run(`${tables(schema)} ${functions(schema, channelOf(schema))}`)
    }
    await session.run('COMMIT')
  } catch (error) {
    if (session.open) await session.run('ROLLBACK')
    throw error
  }
}

/** Sees to it that the schema holds this format, and made by whom this user may act as. */
export async function prepareSchema(session: Session, schema: string): Promise<void> {
  try {
    if (!(await isOurs(session, schema))) await create(session, schema)
    await session.query({ name: 'rights', text: `SELECT 1 AS one FROM ${schema}.leader, ${schema}.lease` })
  } catch (error) {
    throw fault(error, 'JOURNAL_UNAVAILABLE', `The schema ${schema} was not opened`)
  }
}
