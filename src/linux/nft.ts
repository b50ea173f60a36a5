/**
 * nft and its JSON (libnftables-json(5)): one transaction goes in, all of it or nothing is done. Commands travel by
 * a file of ours, since nft opens /dev/stdin, and a child's standard input is a socket here, which cannot be opened.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryPlace } from '../base/trust.ts'
import { NaruError } from '../base/errors.ts'
import { withRight } from '../base/privilege.ts'
import { say } from '../base/text.ts'
import type { RunOptions, Runner, RunResult } from '../host/contract.ts'
import type { Json } from '../model/hop.ts'

/** 65,535 ports in both protocols take nft about 2 s; more is a stuck machine. */
const limitMs = 60_000

export type Command = { readonly [verb: string]: Json }

export interface Nft {
  /** Does all of it or nothing. @throws NaruError COMMAND_FAILED with nft's words */
  apply(commands: readonly Command[] | string, options: { signal: AbortSignal }): Promise<void>
  /** `nft -j ARGS…`, its array. Null where nft says that there is no such thing. */
  list(args: readonly string[], options: { signal: AbortSignal }): Promise<readonly NftObject[] | null>
}

/** `{ map: { … } }`, `{ rule: { … } }`: one key, what it is. */
export type NftObject = { readonly [kind: string]: Readonly<Record<string, Json>> }

export function createNft(runner: Runner): Nft {
  return {
    async apply(commands, { signal }) {
      const json = typeof commands !== 'string'
      const folder = await mkdtemp(join(temporaryPlace(), 'naru-nft-'))
      try {
        const file = join(folder, json ? 'transaction.json' : 'table.nft')
        await writeFile(file, json ? JSON.stringify({ nftables: commands }) : commands, { mode: 0o600 })
        const argv: [string, ...string[]] = ['nft', ...(json ? ['-j'] : []), '-f', file]
        const { exit, stderr } = await runner.run(argv, { signal, limitMs })
        if (exit !== 0) throw failed(exit, stderr)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
    async list(args, { signal }) {
      const { exit, stderr, objects } = await askNft(args, { runner, signal, limitMs })
      if (exit !== 0 && /No such file or directory/.test(stderr)) return null
      if (!objects) throw failed(exit, exit === 0 ? cutOff(args) : stderr)
      return objects
    },
  }
}

export interface NftAnswer extends RunResult {
  /** Null where it said no, or cut off what it printed each time it was asked. */
  readonly objects: readonly NftObject[] | null
}

/**
 * What `nft -j ARGS…` prints. nft up to 1.0.6 ends it in the midst, or prints nothing, where the memory of a table's flags
 * (`owner`, `dormant`) is another's by then, as it frees them before it prints them. The next time they mostly are not.
 * @throws NaruError COMMAND_MISSING, TIMED_OUT, ABORTED
 */
export async function askNft(
  args: readonly string[],
  { runner, ...options }: RunOptions & { readonly runner: Runner },
): Promise<NftAnswer> {
  for (let tries = mostTries; ; tries--) {
    const result = await runner.run(['nft', '-j', ...args], options)
    const objects = result.exit === 0 ? objectsIn(result.stdout) : null
    if (objects || result.exit !== 0 || tries === 1) return { ...result, objects }
  }
}

const mostTries = 6

/** What to say of an answer that is cut off. */
export const cutOff = (args: readonly string[]): string => `nft -j ${args.join(' ')} printed no whole JSON`

/** The objects of a listing. Null where it is none, or not whole. */
export function objectsIn(json: string): readonly NftObject[] | null {
  try {
    const { nftables } = JSON.parse(json) as { nftables?: unknown }
    return Array.isArray(nftables) && nftables.every(isObject) ? nftables : null
  } catch {
    return null
  }
}

function isObject(value: unknown): value is NftObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function failed(exit: number, stderr: string): NaruError {
  if (/Operation not permitted|must be root/.test(stderr)) {
    return new NaruError('NOT_PERMITTED', {
      what: say('change nftables'),
      command: withRight('net_admin'),
    })
  }
  return new NaruError('COMMAND_FAILED', { command: 'nft', exit, stderr: stderr.trim().slice(0, 500) })
}
