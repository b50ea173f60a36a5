/** The verbs, in the order of the help. Each is loaded when it is called: `open` must be quick. */
import type { Verb } from '../verb.ts'

const verbs: Readonly<Record<string, () => Promise<{ readonly verb: Verb }>>> = {
  open: () => import('./open.ts'),
  up: () => import('./up.ts'),
  add: () => import('./add.ts'),
  edit: () => import('./edit.ts'),
  rename: () => import('./rename.ts'),
  rm: () => import('./rm.ts'),
  enable: () => import('./enable.ts'),
  disable: () => import('./disable.ts'),
  ls: () => import('./ls.ts'),
  status: () => import('./status.ts'),
  top: () => import('./top.ts'),
  logs: () => import('./logs.ts'),
  plan: () => import('./plan.ts'),
  check: () => import('./check.ts'),
  import: () => import('./import.ts'),
  export: () => import('./export.ts'),
  doctor: () => import('./doctor.ts'),
  ip: () => import('./ip.ts'),
  ports: () => import('./ports.ts'),
  router: () => import('./router.ts'),
  firewall: () => import('./firewall.ts'),
  guests: () => import('./guests.ts'),
  vantage: () => import('./vantage.ts'),
  reload: () => import('./reload.ts'),
  stop: () => import('./stop.ts'),
  service: () => import('./service.ts'),
  completion: () => import('./completion.ts'),
  complete: () => import('./complete.ts'),
}

export const verbNames: readonly string[] = Object.keys(verbs)

/** What other programs call it: who types one of these is told ours. */
const otherWords: Readonly<Record<string, readonly string[]>> = {
  open: ['forward', 'expose', 'publish', 'tunnel', 'run'],
  up: ['start', 'serve', 'daemon'],
  rm: ['remove', 'delete', 'del', 'unpublish'],
  ls: ['list', 'rules', 'ps', 'show'],
  status: ['info', 'state'],
  check: ['validate', 'lint', 'verify', 'test'],
  doctor: ['diagnose', 'debug', 'fix'],
  rename: ['mv', 'move'],
  reload: ['restart', 'refresh'],
  stop: ['down', 'kill', 'quit', 'shutdown', 'close'],
  edit: ['set', 'change', 'update', 'modify'],
  ports: ['netstat', 'ss'],
  logs: ['events', 'history'],
}

export function verbMeantBy(word: string): string | null {
  const lower = word.toLowerCase()
  return Object.keys(otherWords).find((verb) => otherWords[verb]?.includes(lower)) ?? null
}

export async function loadVerb(name: string): Promise<Verb | null> {
  const load = Object.hasOwn(verbs, name) ? verbs[name] : undefined
  return load ? (await load()).verb : null
}

export function loadAll(): Promise<readonly Verb[]> {
  return Promise.all(Object.values(verbs).map(async (load) => (await load()).verb))
}
