#!/usr/bin/env node
/** `naru`: begins at once what takes longest, and then hands over to the command line. */

// Not awaited here: where Naru is one file it is CommonJS, which has no such thing.
void begin(process.argv.slice(2))

async function begin(words: readonly string[]): Promise<void> {
  if (likelyToSplice(words)) (await import('./engines/splice/main/prestart.ts')).prestart()
  await (await import('./command-line.ts')).commandLine(words)
}

/** A guess, before anything is parsed: a wrong one costs a thread that ends unused, or the time to start one. */
function likelyToSplice([verb, ...rest]: readonly string[]): boolean {
  if (verb !== 'open' || rest.some((word) => ['--help', '-h', '--dry-run'].includes(word))) return false
  const engine = /(?:^| )--engine[ =](\w+)/.exec(rest.join(' '))?.[1] ?? 'auto'
  return engine === 'auto' || engine === 'splice'
}
