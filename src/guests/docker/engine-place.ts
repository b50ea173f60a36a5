/**
 * Where the engine is that this user's own `docker` and `podman` talk to: the environment's word, else the context that
 * `docker context use` chose (Colima, Rancher Desktop and rootless Docker make one of their own), else the first of the
 * usual sockets. Source: docker(1), "docker context"; Docker's CLI, cli/context/store (`contexts/meta/SHA256/meta.json`).
 */
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { homeFolder } from '../../base/home.ts'
import { say, type Text } from '../../base/text.ts'
import { isOwn, whyUntrusted } from '../../base/trust.ts'
import { engineAt, type DockerEngine, type EngineKind } from './engine-api.ts'

export type DockerPlace = (
  | { readonly engine: DockerEngine }
  | { readonly engine: null; readonly why: Text }
) & {
  /** Nobody named it: it is where the engine of this machine usually is. */
  readonly usual?: true
}

/** A configuration that a person wrote is smaller. */
const longestFile = 1024 * 1024

/** What names the engine in the environment. */
export const hostVariables: Readonly<Record<EngineKind, string>> = {
  docker: 'DOCKER_HOST',
  podman: 'CONTAINER_HOST',
}

export function findEngine(kind: EngineKind, env: NodeJS.ProcessEnv): DockerPlace {
  const variable = hostVariables[kind]
  const named = env[variable]
  if (named) return placeAt(named, say`${variable}=${named}`)
  const context = kind === 'docker' ? chosenContext(env) : null
  if (context !== null) return placeOfContext(context, env)
  return firstOf(usualSockets(kind, env))
}

function placeAt(url: string, who: Text): DockerPlace {
  const engine = engineAt(url)
  return engine
    ? { engine }
    : {
        engine: null,
        why: say`${who} is neither unix:// nor tcp://`,
      }
}

/** Whoever has no home has no configuration there either. */
function knownHome(env: NodeJS.ProcessEnv): string | null {
  try {
    return homeFolder(env)
  } catch {
    return null
  }
}

/** DOCKER_CONTEXT, else `currentContext` of config.json; null for the default one. */
function chosenContext(env: NodeJS.ProcessEnv): string | null {
  const chosen = env.DOCKER_CONTEXT || read(env, 'config.json', Config)?.currentContext
  return chosen && chosen !== 'default' ? chosen : null
}

const Config = z.object({ currentContext: z.string().optional() })
const Meta = z.object({ Endpoints: z.object({ docker: z.object({ Host: z.string() }) }) })

function placeOfContext(name: string, env: NodeJS.ProcessEnv): DockerPlace {
  const id = createHash('sha256').update(name).digest('hex')
  const file = join('contexts/meta', id, 'meta.json')
  const url = read(env, file, Meta)?.Endpoints.docker.Host
  if (url === undefined)
    return {
      engine: null,
      why: say`the Docker context ${name} cannot be read (${file}); \`docker context use default\` chooses the usual socket`,
    }
  const place = placeAt(url, say`the Docker context ${name} is at ${url}, which`)
  const socket = place.engine && 'socketPath' in place.engine.at ? place.engine.at.socketPath : null
  const distrust = socket === null ? null : whyUntrusted(socket)
  return distrust ? { engine: null, why: distrust.why } : place
}

function configFolder(env: NodeJS.ProcessEnv): string | null {
  const { DOCKER_CONFIG } = env
  if (DOCKER_CONFIG && isOwn(DOCKER_CONFIG)) return DOCKER_CONFIG
  const home = knownHome(env)
  return home === null ? null : join(home, '.docker')
}

/** A file of Docker's own configuration; null where it is not there, others could write it, or makes no sense. */
function read<T>(env: NodeJS.ProcessEnv, path: string, schema: z.ZodType<T>): T | null {
  const folder = configFolder(env)
  if (folder === null) return null
  const file = join(folder, path)
  try {
    if (whyUntrusted(file) || statSync(file).size > longestFile) return null
    return schema.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data ?? null
  } catch {
    return null
  }
}

/** One that this user may speak to goes before one that he may not: rootless Docker beside another's rootful one. */
function firstOf(paths: readonly string[]): DockerPlace {
  const there = paths.filter(isThere)
  const trusted = there.filter((path) => whyUntrusted(path) === null)
  const path = trusted.find(mayWrite) ?? trusted[0]
  const engine =
    path === undefined ? null : engineAt(`${path.startsWith('//./') ? 'npipe' : 'unix'}://${path}`)
  if (engine) return { engine, usual: true }
  const distrust = there.map((one) => whyUntrusted(one)).find((why) => why !== null)
  if (distrust) return { engine: null, why: distrust.why }
  return { engine: null, why: say('its API socket is not there'), usual: true }
}

const isThere = (path: string): boolean => existsSync(path)

function mayWrite(path: string): boolean {
  if (path.startsWith('//./')) return true
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

function usualSockets(kind: EngineKind, env: NodeJS.ProcessEnv): readonly string[] {
  if (process.platform === 'win32')
    return kind === 'docker' ? ['//./pipe/docker_engine'] : ['//./pipe/podman-machine-default']
  const runtime = (path: string): string[] => runtimeFolders(env).map((folder) => join(folder, path))
  const home = knownHome(env)
  const atHome = (...paths: string[]): string[] =>
    home === null ? [] : paths.map((path) => join(home, path))
  return kind === 'docker'
    ? [
        '/var/run/docker.sock',
        ...runtime('docker.sock'),
        ...atHome('.docker/run/docker.sock', '.docker/desktop/docker.sock'),
      ]
    : [
        '/run/podman/podman.sock',
        ...runtime('podman/podman.sock'),
        ...atHome('.local/share/containers/podman/machine/podman.sock'),
      ]
}

/** A service or `su` has no XDG_RUNTIME_DIR; where systemd makes it is known (pam_systemd(8)). */
function runtimeFolders({ XDG_RUNTIME_DIR }: NodeJS.ProcessEnv): readonly string[] {
  const usual = `/run/user/${process.getuid?.() ?? 0}`
  return [...new Set([...(XDG_RUNTIME_DIR ? [XDG_RUNTIME_DIR] : []), usual])]
}
