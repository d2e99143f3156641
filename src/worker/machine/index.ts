// The face of the worker's machine.
export * from './events.ts'
export { Machine } from './machine.ts'
export type { NumberRange } from './ranges.ts'
export type { MachineOptions } from './state.ts'
export { tuning } from './tuning.ts'
