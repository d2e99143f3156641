#!/usr/bin/env node
// Owns the first instruction of `cox`: it refuses an old Node in one line, turns the compile cache on, and loads the rest.
// Must not import anything statically: an old Node has to get as far as the check.

const nodeMajorMin = 24

if (Number(process.versions.node.split('.')[0]) < nodeMajorMin) {
  process.stderr.write(`cox needs Node ${nodeMajorMin} or newer; this is Node ${process.versions.node}.\n`)
  process.exitCode = 1
} else {
  const { enableCompileCache } = await import('node:module')
  const { compileCacheFolder } = await import('./state/cache.ts')
  const compiled = compileCacheFolder()
  enableCompileCache(compiled)
  const [verb, ...args] = process.argv.slice(2)
  if (verb === 'node' && (args[0] === 'candidate' || args[0] === 'worker')) {
    // Its threads look for it there.
    process.env.NODE_COMPILE_CACHE = compiled
    await (await import('./nodes/main.ts')).runNode(args)
  } else await (await import('./program.ts')).main(process.argv.slice(2))
}

export {}
