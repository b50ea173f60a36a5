/** What `main` hands the CLI. Each way is imported when it is taken, so that a verb pays only for what it uses. */
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import { mustBeTrusted } from '../base/trust.ts'
import type { NaruClient } from '../api/client/client.ts'
import type { CliDeps } from '../cli/deps.ts'
import { Journal } from '../instance/journal.ts'
import { instanceOf, running, stateRoot } from '../instance/instance.ts'
import { mustNotBeRoots } from '../instance/roots.ts'
import type { Naru } from '../model/naru-api.ts'
import { ruleFile } from './files.ts'
import { commit, version } from './version.ts'

export const cliDeps: CliDeps = {
  version,
  commit,
  async openHere(options) {
    const { openHere } = await import('./open.ts')
    return openHere(options, () => connect(null).catch(() => null))
  },
  async planHere({ name, rule }) {
    const [{ offlineNaru }, { composeDeps }, { createMemoryStore }] = await Promise.all([
      import('../rules/offline.ts'),
      import('./compose.ts'),
      import('../stores/memory.ts'),
    ])
    return offlineNaru(await composeDeps(createMemoryStore({}))).plan({ name, rule })
  },
  async up(options) {
    const { up } = await import('./up.ts')
    return up(options)
  },
  async upInBackground(signal) {
    const { upInBackground } = await import('./background.ts')
    return upInBackground(signal)
  },
  connect: ({ file }) => connect(file),
  async mustBeUndone({ file }) {
    const { leftIn, notUndone } = await import('../rules/undo.ts')
    const root = stateRoot()
    const { id, holder } = await instanceOf(root, ruleFile(file))
    if (holder) return
    const entries = await Journal.peek(join(root, id, 'journal'))
    if (entries?.length !== 0) throw notUndone(entries ? leftIn(entries) : [unreadable])
  },
  async undoLeftOvers({ signal, tell }) {
    const { recover } = await import('./recover.ts')
    await recover(stateRoot(), { except: null, signal, tell: (_level, text) => tell(text) })
  },
  async offline({ file }) {
    const [{ offlineNaru }, { composeDeps }, { createFileStore }] = await Promise.all([
      import('../rules/offline.ts'),
      import('./compose.ts'),
      import('../stores/file/index.ts'),
    ])
    return offlineNaru(await composeDeps(createFileStore(ruleFile(file))))
  },
  async openElsewhere() {
    const { foregroundStatuses } = await import('./foreground.ts')
    return (await foregroundStatuses(stateRoot())).map(({ status }) => status)
  },
  async ports({ file }) {
    const { portsOf } = await import('./compose-ports.ts')
    return portsOf(() => connect(file).catch(() => null))
  },
  async importFile(file, from) {
    const { importFile } = await import('./import-file.ts')
    return importFile(file, from)
  },
  async exportRules(to, rules) {
    const { exportRules } = await import('../formats/index.ts')
    return exportRules(to, rules)
  },
  async copy(text) {
    const { copy } = await import('./clipboard.ts')
    return copy(text)
  },
  async service() {
    const [{ serviceMember }, { createRunner }] = await Promise.all([
      import('../services/index.ts'),
      import('../host/runner.ts'),
    ])
    const [member, runner] = [serviceMember(), createRunner()]
    return (
      member && {
        ...member,
        install: (request, { signal }) => member.install(request, { runner, signal }),
        status: ({ signal }) => member.status({ runner, signal }),
        uninstall: ({ signal }) => member.uninstall({ runner, signal }),
      }
    )
  },
  async vantage(options) {
    const { startVantage } = await import('../doctor/outside/vantage.ts')
    return startVantage({ ...options, clock: systemClock })
  },
  async machine({ file }) {
    const [{ machineOf }, { composeDeps }, { createMemoryStore }] = await Promise.all([
      import('./compose-machine.ts'),
      import('./compose.ts'),
      import('../stores/memory.ts'),
    ])
    const naru = (): Promise<Naru | null> =>
      connect(file).catch(() => cliDeps.offline({ file }).catch(() => null))
    return machineOf(await composeDeps(createMemoryStore({})), naru)
  },
}

const unreadable = say('what its journal says cannot be read')

/** The daemon of that file; without one named, the only daemon there is. @throws NaruError NOT_RUNNING, RUNS_AS_ROOT */
async function connect(flag: string | null): Promise<NaruClient> {
  const file = ruleFile(flag)
  const root = stateRoot()
  const { holder: named } = await instanceOf(root, file)
  const daemons = (await running(root)).filter((holder) => holder.file !== null)
  const holder =
    named ?? (flag === null && !process.env.NARU_CONFIG && daemons.length === 1 ? daemons[0] : undefined)
  if (!holder) {
    await mustNotBeRoots(file)
    throw new NaruError('NOT_RUNNING', { file })
  }
  mustBeTrusted(holder.socket, say('start that Naru anew'))
  const { waitForDaemon } = await import('./wait-for-daemon.ts')
  await waitForDaemon(holder, async () => (await running(root)).some(({ pid }) => pid === holder.pid))
  const { createClient } = await import('../api/client/client.ts')
  const { socketTransport } = await import('../api/client/socket.ts')
  return createClient(socketTransport({ socketPath: holder.socket, file: holder.file ?? file }))
}
