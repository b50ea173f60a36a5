/** What the verbs that look at this machine have in common: the machine, and a Ctrl-C that ends the look at once. */
import { keepAlive } from '../base/awake.ts'
import { NaruError } from '../base/errors.ts'
import type { MachineApi } from '../model/machine-api.ts'
import type { Context, VerbOption } from './verb.ts'
import { say } from '../base/text.ts'

export function withMachine<T>(
  context: Context,
  ask: (machine: MachineApi, options: { readonly signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  return lookAt(context, context.deps.machine({ file: context.file }), ask)
}

export async function lookAt<M, T>(
  context: Context,
  found: Promise<M>,
  ask: (machine: M, options: { readonly signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const machine = await found
  // A pending look may wait on timers and sockets that keep no process alive.
  const alive = keepAlive()
  try {
    return await ask(machine, { signal: context.interrupt() })
  } catch (error) {
    // Whatever was under way when Ctrl-C came is of no interest.
    if (context.interrupt().aborted) throw new NaruError('ABORTED', { what: looking }, { cause: error })
    throw error
  } finally {
    alive[Symbol.dispose]()
  }
}

const looking = say('the look at this machine')

export const internet: VerbOption = {
  name: 'internet',
  text: say('may ask a STUN server on the internet for the public address'),
}
