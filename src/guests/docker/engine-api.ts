/**
 * The engine API of Docker, which Podman speaks as well: what it is asked, and what of its answers is believed.
 * Source: Docker Engine API v1.41 (`ContainerList`, `ContainerInspect`, `SystemInfo`).
 */
import { z } from 'zod'
import { errnoOf, NaruError } from '../../base/errors.ts'
import { say, verbatim } from '../../base/text.ts'
import type { Json } from '../../model/hop.ts'
import { askHttp, type HttpPlace } from '../shared/http.ts'
import { answered } from '../shared/patience.ts'

export type EngineKind = 'docker' | 'podman'

export interface DockerEngine extends HttpPlace {
  /** As it is shown: `unix:///var/run/docker.sock`. */
  readonly url: string
  /** On this machine, where its containers can have addresses of this machine's networks. */
  readonly local: boolean
}

/** `unix://PATH`, `npipe://PATH` and `tcp://HOST:PORT`; null for what we do not speak (ssh, TLS). */
export function engineAt(url: string): DockerEngine | null {
  const socket = /^(?:unix|npipe):\/\/(.+)$/.exec(url)?.[1]
  if (socket) return { url, at: { socketPath: socket }, local: true }
  const [, host, port] = /^(?:tcp|http):\/\/([^:/]+):(\d+)\/?$/.exec(url) ?? []
  if (!host || !port) return null
  return { url, at: { host, port: Number(port) }, local: host === 'localhost' || host.startsWith('127.') }
}

const NetworkSettings = z.object({
  Networks: z
    .record(
      z.string(),
      z.object({ IPAddress: z.string().optional(), GlobalIPv6Address: z.string().optional() }).nullable(),
    )
    .nullish(),
})

export const Container = z.object({
  Id: z.string(),
  /** `/web`; a link of another container is `/other/web`. */
  Names: z.array(z.string()).nullish(),
  State: z.string(),
  Labels: z.record(z.string(), z.string()).nullish(),
  Ports: z
    .array(
      z.object({
        IP: z.string().optional(),
        PrivatePort: z.number(),
        PublicPort: z.number().optional(),
        Type: z.string(),
      }),
    )
    .nullish(),
  HostConfig: z.object({ NetworkMode: z.string().optional() }).nullish(),
  NetworkSettings: NetworkSettings.nullish(),
})
export type Container = z.infer<typeof Container>

const Inspected = z.object({
  HostConfig: z.object({ NetworkMode: z.string().optional() }),
  NetworkSettings,
})
export type Inspected = z.infer<typeof Inspected>

const Info = z.object({
  OperatingSystem: z.string().optional(),
  /** Docker's way to say it: `name=rootless`. */
  SecurityOptions: z.array(z.string()).nullish(),
  /** Podman's. */
  Rootless: z.boolean().nullish(),
})

/** Every container, running or not. @throws NaruError GUEST_SILENT, GUEST_NOT_HERE, GUEST_REFUSED, GUEST_UNREADABLE */
export async function listContainers(
  kind: EngineKind,
  engine: DockerEngine,
  signal: AbortSignal,
): Promise<Container[]> {
  return ask(kind, engine, '/containers/json?all=true', z.array(Container), signal)
}

/** Podman's list says `host` of every container's network; only this tells it right. */
export async function inspectContainer(
  kind: EngineKind,
  engine: DockerEngine,
  id: string,
  signal: AbortSignal,
): Promise<Inspected> {
  return ask(kind, engine, `/containers/${encodeURIComponent(id)}/json`, Inspected, signal)
}

/** False where the engine has networks of its own that this machine has no way into: rootless, or in a VM. */
export async function sharesOurNetwork(
  kind: EngineKind,
  engine: DockerEngine,
  signal: AbortSignal,
): Promise<boolean> {
  if (!engine.local || process.platform !== 'linux') return false
  const info = await ask(kind, engine, '/info', Info, signal)
  const rootless = info.SecurityOptions?.some((option) => option.includes('rootless')) ?? false
  return !rootless && info.Rootless !== true && info.OperatingSystem !== 'Docker Desktop'
}

async function ask<T>(
  kind: EngineKind,
  engine: DockerEngine,
  path: string,
  schema: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T> {
  const where = engine.url
  try {
    const { status, body } = await answered((limit) => askHttp(engine, 'GET', path, { signal: limit }), {
      kind,
      where,
      signal,
    })
    if (status !== 200)
      throw new NaruError('GUEST_REFUSED', {
        kind,
        what: `GET ${path}`,
        why: verbatim(`${status} ${messageIn(body)}`),
      })
    return schema.parse(body)
  } catch (error) {
    throw explained(error, kind, where)
  }
}

function explained(error: unknown, kind: EngineKind, where: string): unknown {
  if (error instanceof z.ZodError || error instanceof SyntaxError || error instanceof RangeError) {
    const why =
      error instanceof z.ZodError ? (z.prettifyError(error).split('\n')[0] as string) : error.message
    return new NaruError('GUEST_UNREADABLE', { kind, where, why }, { cause: error })
  }
  const errno = errnoOf(error)
  if (errno === 'EACCES')
    return new NaruError(
      'NOT_PERMITTED',
      {
        what: say`talk to ${kind} at ${where}`,
        // Whoever is logged in already gets the group by a new shell only.
        command: `sudo usermod -aG ${kind} "$USER" && newgrp ${kind}`,
      },
      { cause: error },
    )
  if (errno === 'ENOENT' || errno === 'ECONNREFUSED' || errno === 'ENOTFOUND')
    return new NaruError('GUEST_NOT_HERE', { kind, why: say`nobody answers at ${where}` }, { cause: error })
  if (errno?.startsWith('HPE_'))
    return new NaruError('GUEST_UNREADABLE', { kind, where, why: 'it does not speak HTTP' }, { cause: error })
  return error
}

function messageIn(body: Json): string {
  const message = typeof body === 'object' && body !== null && 'message' in body ? body.message : null
  return typeof message === 'string' ? message.slice(0, 300) : ''
}
