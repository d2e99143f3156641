// Tasks that use secrets, and one that gives them away in every way that is watched.
import { task } from '../../src/client/index.ts'

export const lengthOf = task({
  name: 'lengths/one',
  secrets: ['PLAIN', 'LENGTHS', 'OTHERS', 'MISSING'],
  async run(name: string, ctx) {
    return (await ctx.secret(name)).length
  },
})

export const blabber = task({
  name: 'blabber',
  secrets: ['PLAIN'],
  async run(_input: undefined, ctx) {
    const secret = await ctx.secret('PLAIN')
    ctx.log(`it is ${secret}`)
    console.log(JSON.stringify({ secret }))
    ctx.progress(0.5, secret)
    throw new Error(`cannot log in with ${secret}`, { cause: new Error(secret) })
  },
})

export const undeclared = task({
  name: 'undeclared',
  async run(_input: undefined, ctx) {
    return ctx.secret('PLAIN')
  },
})
