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
import type { Runner } from '../host/contract.ts'
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
      for (let tries = mostTries; tries > 0; tries--) {
        const { exit, stdout, stderr } = await runner.run(['nft', '-j', ...args], { signal, limitMs })
        if (exit !== 0 && /No such file or directory/.test(stderr)) return null
        if (exit !== 0) throw failed(exit, stderr)
        const objects = objectsIn(stdout)
        if (objects) return objects
      }
      throw failed(0, `nft -j ${args.join(' ')} printed no whole JSON`)
    },
  }
}

/**
 * nft up to 1.0.6 ends what it prints in the midst where the memory of a table's flags is another's by then (it frees
 * them too early), as while a guard of ours is being read back. The next time they mostly are not.
 */
const mostTries = 6

/** Null where it is cut off. */
function objectsIn(json: string): readonly NftObject[] | null {
  try {
    return (JSON.parse(json) as { nftables: NftObject[] }).nftables
  } catch {
    return null
  }
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
