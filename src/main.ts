#!/usr/bin/env node
/** `naru`: begins at once what takes longest, and then hands over to the command line. */

if (likelyToSplice(process.argv.slice(2))) (await import('./engines/splice/main/prestart.ts')).prestart()
await import('./command-line.ts')

/** A guess, before anything is parsed: a wrong one costs a thread that ends unused, or the time to start one. */
function likelyToSplice([verb, ...rest]: readonly string[]): boolean {
  if (verb !== 'open' || rest.some((word) => ['--help', '-h', '--dry-run'].includes(word))) return false
  const engine = /(?:^| )--engine[ =](\w+)/.exec(rest.join(' '))?.[1] ?? 'auto'
  return engine === 'auto' || engine === 'splice'
}
