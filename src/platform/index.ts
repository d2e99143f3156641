// The face of the platform's interfaces. The real ones are in node/.
export * from './objects.ts'
export * from './platform.ts'
