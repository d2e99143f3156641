// The whole face of the package to its users.
export * from './client/index.ts'
