// Owns the functions within the database that write: each is one statement for its caller, and so one transaction and one round trip.
// Must not be changed without a new format: they are made at the first start, with the tables.
import { fencedState } from './faults.ts'

/**
 * The append: the leader's row first, which is compared and which nobody else can change until the commit. False: nothing was written. Most appends are one
 * row: for that the set is not made.
 */
function append(s: string): string {
  return `
  CREATE FUNCTION ${s}.append(
    p_epoch bigint, p_holder text, p_writer bigint, p_last bigint, p_hash bytea, p_new_last bigint, p_new_hash bytea, p_bytes bytea,
    p_row_bytes bigint, p_payload_bytes bigint,
    r_first bigint[], r_count int[], r_at int[], r_manifest int[], r_records int[],
    p_payload bigint[], p_at int[], p_size int[], p_checksum bigint[], p_drops bigint[], p_history jsonb
  ) RETURNS boolean LANGUAGE plpgsql AS $body$
  DECLARE
    gone bigint;
    gone_bytes bigint;
  BEGIN
    UPDATE ${s}.leader SET last_index = p_new_last, hash = p_new_hash,
        row_count = row_count + cardinality(r_first), row_bytes = row_bytes + p_row_bytes,
        payload_count = payload_count + cardinality(p_payload), payload_bytes = payload_bytes + p_payload_bytes
      WHERE id = 1 AND epoch = p_epoch AND holder = p_holder AND writer = p_writer AND last_index = p_last AND hash = p_hash;
    IF NOT FOUND THEN RETURN false; END IF;
    IF cardinality(r_first) = 1 THEN
      INSERT INTO ${s}.journal (first_index, count, epoch, previous_hash, hash, manifest, records) VALUES (r_first[1], r_count[1], p_epoch,
        substring(p_bytes FROM r_at[1] + 1 FOR 32), substring(p_bytes FROM r_at[1] + 33 FOR 32),
        substring(p_bytes FROM r_at[1] + 65 FOR r_manifest[1]), substring(p_bytes FROM r_at[1] + 65 + r_manifest[1] FOR r_records[1]));
    ELSE
      INSERT INTO ${s}.journal (first_index, count, epoch, previous_hash, hash, manifest, records)
        SELECT first, count, p_epoch, substring(p_bytes FROM at + 1 FOR 32), substring(p_bytes FROM at + 33 FOR 32),
          substring(p_bytes FROM at + 65 FOR manifest), substring(p_bytes FROM at + 65 + manifest FOR records)
        FROM unnest(r_first, r_count, r_at, r_manifest, r_records) AS r (first, count, at, manifest, records);
    END IF;
    IF cardinality(p_payload) > 0 THEN
      INSERT INTO ${s}.payload (payload, size, checksum, bytes)
        SELECT payload, size, checksum, substring(p_bytes FROM at + 1 FOR size) FROM unnest(p_payload, p_at, p_size, p_checksum) AS p (payload, at, size, checksum);
    END IF;
    IF p_history IS NOT NULL THEN PERFORM ${s}.change_history(p_bytes, p_history); END IF;
    IF cardinality(p_drops) > 0 THEN
      WITH dropped AS (DELETE FROM ${s}.payload WHERE payload = ANY (p_drops) RETURNING size)
        SELECT count(*), coalesce(sum(size), 0) INTO gone, gone_bytes FROM dropped;
      IF gone > 0 THEN UPDATE ${s}.leader SET payload_count = payload_count - gone, payload_bytes = payload_bytes - gone_bytes WHERE id = 1; END IF;
    END IF;
    RETURN true;
  END $body$;`
}

/** Rows of the history in, emptied, and out, with the keys by which they are found. The caller has read what goes. */
function changeHistory(s: string): string {
  return `
  CREATE FUNCTION ${s}.change_history(p_bytes bytea, p_history jsonb) RETURNS void LANGUAGE plpgsql AS $body$
  DECLARE
    added bigint;
    gone bigint;
  BEGIN
    INSERT INTO ${s}.history (number, place, job, name, state, labels, submitted_ms, payloads, body, checksum)
      SELECT number, place, convert_from(decode(job, 'hex'), 'UTF8'), name, state, labels, submitted, payloads, substring(p_bytes FROM at + 1 FOR size), checksum
      FROM jsonb_to_recordset(p_history -> 'rows') AS r
        (number bigint, place bigint, job text, name text, state smallint, labels text, submitted bigint, payloads text, at int, size int, checksum bigint);
    GET DIAGNOSTICS added = ROW_COUNT;
    INSERT INTO ${s}.history_key (key, state, number)
      SELECT decode(key, 'hex'), state, number FROM jsonb_to_recordset(p_history -> 'keys') AS k (key text, state smallint, number bigint);
    UPDATE ${s}.history AS h SET payloads = '[]', checksum = e.checksum
      FROM jsonb_to_recordset(p_history -> 'emptied') AS e (number bigint, checksum bigint) WHERE h.number = e.number;
    DELETE FROM ${s}.history_key AS h USING jsonb_to_recordset(p_history -> 'goneKeys') AS k (key text, state smallint, number bigint)
      WHERE h.key = decode(k.key, 'hex') AND h.state = k.state AND h.number = k.number;
    DELETE FROM ${s}.history WHERE number IN (SELECT value::bigint FROM jsonb_array_elements_text(p_history -> 'gone'));
    GET DIAGNOSTICS gone = ROW_COUNT;
    UPDATE ${s}.leader SET history_rows = history_rows + added - gone WHERE id = 1;
  END $body$;`
}

/** A claim: whoever compares epoch, end and hash first is the leader. Everybody who listens is told at its commit. */
function claim(s: string, channel: string): string {
  return `
  CREATE FUNCTION ${s}.claim(
    p_seen bigint, p_last bigint, p_hash bytea, p_epoch bigint, p_holder text,
    p_name text, p_pid bigint, p_process_start text, p_address text, p_checksum bigint, p_records int
  ) RETURNS boolean LANGUAGE plpgsql AS $body$
  BEGIN
    UPDATE ${s}.leader SET epoch = p_epoch, holder = p_holder, writer = 1, name = p_name, pid = p_pid, process_start = p_process_start,
        address = p_address, checksum = p_checksum
      WHERE id = 1 AND epoch = p_seen AND last_index = p_last AND hash = p_hash;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE ${s}.lease SET epoch = p_epoch, renewed_at = clock_timestamp() WHERE id = 1;
    UPDATE ${s}.format SET records = p_records WHERE id = 1 AND records < p_records;
    PERFORM pg_notify('${channel}', p_epoch::text);
    RETURN true;
  END $body$;`
}

/** Fencing for what is not an append: at the end of its transaction, so that no append waits for all of it. */
function stillLeads(s: string): string {
  return `
  CREATE FUNCTION ${s}.still_leads(p_epoch bigint, p_holder text, p_rows bigint, p_row_bytes bigint) RETURNS void LANGUAGE plpgsql AS $body$
  BEGIN
    UPDATE ${s}.leader SET row_count = row_count - p_rows, row_bytes = row_bytes - p_row_bytes WHERE id = 1 AND epoch = p_epoch AND holder = p_holder;
    IF NOT FOUND THEN RAISE EXCEPTION 'epoch % does not lead', p_epoch USING ERRCODE = '${fencedState}'; END IF;
  END $body$;`
}

/** Lets go of rows before an index, never of those that the older of two snapshots needs, never of the newest. */
function compact(s: string): string {
  return `
  CREATE FUNCTION ${s}.compact(p_epoch bigint, p_holder text, p_below bigint) RETURNS bigint LANGUAGE plpgsql AS $body$
  DECLARE
    gone bigint;
    gone_bytes bigint;
  BEGIN
    WITH bound AS (
      SELECT least(p_below, coalesce((SELECT fallback FROM ${s}.snapshot ORDER BY last_index DESC LIMIT 1), 0) + 1, (SELECT max(first_index) FROM ${s}.journal)) AS below
    ), dropped AS (
      DELETE FROM ${s}.journal USING bound WHERE first_index + count - 1 < below AND first_index < below
        RETURNING 96 + octet_length(manifest) + octet_length(records) AS bytes
    ) SELECT count(*), coalesce(sum(bytes), 0) INTO gone, gone_bytes FROM dropped;
    PERFORM ${s}.still_leads(p_epoch, p_holder, gone, gone_bytes);
    RETURN gone;
  END $body$;`
}

/** Names a snapshot whose pieces were written and read back, and lets go of those behind its fall-back. */
function saveSnapshot(s: string): string {
  return `
  CREATE FUNCTION ${s}.save_snapshot(
    p_epoch bigint, p_holder text, p_last bigint, p_hash bytea, p_size bigint, p_checksum bytea, p_pieces text, p_fallback bigint
  ) RETURNS void LANGUAGE plpgsql AS $body$
  BEGIN
    DELETE FROM ${s}.snapshot WHERE last_index < p_fallback OR last_index = p_last;
    UPDATE ${s}.snapshot SET fallback = 0;
    INSERT INTO ${s}.snapshot (last_index, epoch, hash, size, checksum, pieces, fallback)
      VALUES (p_last, p_epoch, p_hash, p_size, p_checksum, p_pieces, p_fallback);
    DELETE FROM ${s}.snapshot_piece WHERE pieces NOT IN (SELECT pieces FROM ${s}.snapshot);
    PERFORM ${s}.still_leads(p_epoch, p_holder, 0, 0);
  END $body$;`
}

/** The text that makes all functions. */
export function functions(schema: string, channel: string): string {
  return [changeHistory(schema), append(schema), claim(schema, channel), stillLeads(schema), compact(schema), saveSnapshot(schema)].join(
    '\n',
  )
}
