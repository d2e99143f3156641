// Owns refusing settings whose part of Coxswain is not in this release: nobody is to believe that they hold.
// Must not refuse a value that changes nothing.
import { CoxswainError } from '../../protocol/errors.ts'
import { flagOf, type SettingName, type SettingValues } from './schema.ts'

const ofManyMachines = ['blocks', 'joinTokenFile'] as const satisfies readonly SettingName[]

/** Throws where a setting asks for more than this machine and its state folder. */
export function refuseUnserved(values: SettingValues): void {
  const asked: SettingName[] = ofManyMachines.filter(name => Boolean(values[name]))
  if (asked.length === 0) return
  throw new CoxswainError('INVALID_CONFIG', `This release runs on one machine and does not serve ${asked.map(flagOf).join(', ')}.`)
}
