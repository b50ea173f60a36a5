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

export async function loadVerb(name: string): Promise<Verb | null> {
  const load = Object.hasOwn(verbs, name) ? verbs[name] : undefined
  return load ? (await load()).verb : null
}

export function loadAll(): Promise<readonly Verb[]> {
  return Promise.all(Object.values(verbs).map(async (load) => (await load()).verb))
}
