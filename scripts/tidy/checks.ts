// Owns the list of all tidy checks. A new check gets its line here and a bad sample in test/project/tidy.test.ts.
// Must not hold a check itself.
import { nothingAmbient } from './ambient.ts'
import { deadExports, deadFiles, documentedFaces, duplicateNames } from './exports.ts'
import { closedRooms, dependencies, importLaw, pureMachines } from './law.ts'
import { errorsPageCurrent, links, promises, referencePageCurrent, releaseNumbers } from './papers.ts'
import { fileSizes, functionSizes, headers, strayFiles } from './shape.ts'
import type { Check } from './tree.ts'
import {
  leftOverMarks,
  lockAddresses,
  lockComplete,
  machinePaths,
  skippedTests,
  sleepsInTests,
  typeEscapes,
  unverifiedPeers,
} from './words.ts'

/** Every check by its name. */
export const checks: Readonly<Record<string, Check>> = {
  importLaw,
  closedRooms,
  pureMachines,
  nothingAmbient,
  dependencies,
  deadExports,
  deadFiles,
  duplicateNames,
  documentedFaces,
  headers,
  fileSizes,
  functionSizes,
  strayFiles,
  leftOverMarks,
  machinePaths,
  unverifiedPeers,
  lockAddresses,
  lockComplete,
  skippedTests,
  typeEscapes,
  sleepsInTests,
  errorsPageCurrent,
  referencePageCurrent,
  releaseNumbers,
  promises,
  links,
}
