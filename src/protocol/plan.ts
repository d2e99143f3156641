// Owns the plan of a job: a graph of stages as plain data, which is all that the leader ever sees of user code.
// Must not hold anything that changes while the job runs.
import { boolean, type Codec, enumeration, type Infer, integer, list, string, struct, varint } from './codec.ts'
import { limits } from './limits.ts'

/** The id of a job in a message or record. */
export const jobIdField = string(limits.jobIdBytesMax)
/** A short name: of a worker, a task, a session. */
export const nameField = string(limits.nameBytesMax)
/** A SHA-256 in 64 hex digits. */
export const hashField = string(64)

/** An amount of each resource. cpus, gpus and named ones in thousandths, so that sums are exact. */
export const resources = struct({
  cpuMillis: varint,
  memoryBytes: varint,
  gpuMillis: varint,
  named: list(struct({ name: nameField, millis: varint }), 64),
})
export type Resources = Infer<typeof resources>

/** How often and after which pause a failed task is tried again. */
export const retryPolicy = struct({
  /** Attempts after the first; 0 means one attempt in all. */
  retriesMax: varint,
  /** The first pause; each further one is twice as long, with jitter. */
  backoffBaseMs: varint,
  backoffMsMax: varint,
})
export type RetryPolicy = Infer<typeof retryPolicy>

/** What a stage waits for. `after`: every partition of the producer, and nothing is received from it. */
export const edge = struct({ kind: enumeration('after'), producer: varint })
export type Edge = Infer<typeof edge>

/** One user function applied to many inputs. */
export const stagePlan = struct({
  /** Name of the definition within its program. */
  task: nameField,
  program: hashField,
  resources,
  retry: retryPolicy,
  /** Limit of one attempt; 0 means none. */
  timeoutMs: varint,
  edges: list(edge, limits.stagesMax),
})
export type StagePlan = Infer<typeof stagePlan>

/** A job as its user asked for it. Stages refer only to earlier ones, so a plan cannot have a cycle. */
export const jobPlan = struct({
  job: jobIdField,
  /** What people see: the task's name. */
  name: nameField,
  /** Hash of what was asked (definitions' names, policies, inputs): the same id must come with the same hash. */
  contentHash: hashField,
  labels: list(string(200), limits.labelsMax),
  /** Higher goes first; -100 to 100, 0 by default. */
  priority: integer,
  /** The client session that asked. */
  session: nameField,
  /** True: the job goes on when its client's session ends. False: it is cancelled then. */
  detached: boolean,
  stages: list(stagePlan, limits.stagesMax),
})
export type JobPlan = Infer<typeof jobPlan>

/** Tasks `first` to `first + count - 1` of a stage. */
export const range = struct({ first: varint, count: varint })
export type Range = Infer<typeof range>

/** Tasks in a row of one stage, at the same attempt, as handed to a lane. */
export const run = struct({
  job: { ...jobIdField, shape: { kind: 'string', lengthMin: 1, lengthMax: limits.jobIdBytesMax } },
  stage: varint,
  first: varint,
  count: varint,
  attempt: varint,
})
/** What of it stands behind its job. */
const place = struct({ stage: varint, first: varint, count: varint, attempt: varint })
/** Above all that a lane may hold. */
const runsMax = 65_536
const many = list(run, runsMax)
export type Run = Infer<typeof run>

/** Runs, many of them of one job as a rule: its id is written once, and empty in those that follow. */
export const runs: Codec<Run[]> = {
  shape: { kind: 'list', item: run.shape, countMax: runsMax },
  write(writer, values) {
    writer.varint(values.length)
    let job = ''
    for (const value of values) {
      jobIdField.write(writer, value.job === job ? '' : value.job)
      job = value.job
      place.write(writer, value)
    }
  },
  read(reader) {
    const values = many.read(reader)
    let job = ''
    for (const value of values) {
      if (value.job === '') value.job = job
      job = value.job
    }
    return values
  },
}

/** A value of a task that lives in a block. */
export const taskBlock = struct({ index: varint, block: hashField, bytes: varint, holder: nameField })
export type TaskBlock = Infer<typeof taskBlock>
