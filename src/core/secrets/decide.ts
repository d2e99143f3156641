// Owns whether a secret can be set or deleted, and who may have it. Must not write state, and never sees what is in one.
import { CoxswainError, isSecretName, OverloadedError, limits as wire } from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'
import { mayHave, type Secret } from './state.ts'

const retryAfterMs = 1000

export function decideSetSecret(state: State, { secret, sealed, jobs }: CommandOf<'setSecret'>, limits: CoreLimits): Decision {
  const { byName } = state.secrets
  if (!isSecretName(secret))
    return refuse(
      new CoxswainError(
        'INVALID_ARGUMENT',
        `The name ${JSON.stringify(secret)} is not usable for a secret: letters, digits and _ . - only.`,
        {
          id: secret,
        },
      ),
    )
  if (sealed.length > wire.secretBytesMax + sealedBytesMore)
    return refuse(new CoxswainError('INVALID_ARGUMENT', `A secret has at most ${wire.secretBytesMax} bytes.`, { id: secret }))
  if (jobs.some(prefix => prefix === ''))
    return refuse(new CoxswainError('INVALID_ARGUMENT', `The secret ${secret} is for jobs that begin with an empty text.`, { id: secret }))
  if (!byName.has(secret) && byName.size >= limits.secretsMax)
    return refuse(new OverloadedError(`The cluster holds its limit of ${limits.secretsMax} secrets: delete some.`, { retryAfterMs }))
  return { records: [{ kind: 'SecretSet', secret, sealed, jobs }], payloads: [], reply: { kind: 'done' } }
}

/** What sealing may add to a secret's bytes. */
const sealedBytesMore = 1024

export function decideDeleteSecret(state: State, { secret }: CommandOf<'deleteSecret'>): Decision {
  if (!state.secrets.byName.has(secret)) return refuse(unknownSecret(secret))
  return { records: [{ kind: 'SecretDeleted', secret }], payloads: [], reply: answer({ kind: 'done' }).reply }
}

function unknownSecret(secret: string): CoxswainError {
  return new CoxswainError('SECRET_UNKNOWN', `There is no secret ${JSON.stringify(secret)}.`, { id: secret })
}

/**
 * The secret, for a worker that says it is for tasks of this lane; throws SECRET_UNKNOWN or FORBIDDEN. It must have been given tasks of that job and stage and
 * not have ended them, and they must be of those that may have it.
 */
export function secretFor(
  state: State,
  worker: string,
  { lane: number, job: id, stage: position, secret: name }: { lane: number; job: string; stage: number; secret: string },
): Secret {
  const lane = state.tasks.lanes.get(number)
  const run = lane?.worker.id === worker ? lane.runs.find(({ stage }) => stage.number === position && stage.job.plan.job === id) : undefined
  if (!run) throw new CoxswainError('FORBIDDEN', `Worker ${worker} runs no task of job ${id}: it gets no secret for it.`, { id: name })
  const secret = state.secrets.byName.get(name)
  if (!secret) throw unknownSecret(name)
  const { stage } = run
  if (!mayHave(secret, stage.job.plan.name))
    throw new CoxswainError('FORBIDDEN', `The secret ${name} is not for jobs named ${stage.job.plan.name}.`, { id: name })
  return secret
}
