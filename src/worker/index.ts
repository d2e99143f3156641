// The face of the worker: its agent.
export { Agent, type AgentOptions } from './agent.ts'
