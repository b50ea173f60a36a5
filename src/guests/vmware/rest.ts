/**
 * VMware's own REST server (`vmrest`), which comes with Workstation and Fusion and listens on 127.0.0.1:8697.
 * Source: VMware Workstation Pro REST API 1.3 (its /swagger.json).
 */
import { z } from 'zod'
import { errnoOf, NaruError } from '../../base/errors.ts'
import { say, verbatim } from '../../base/text.ts'
import type { Json } from '../../model/hop.ts'
import { askHttp, type HttpPlace } from '../shared/http.ts'
import { answered, answerMs, changeMs } from '../shared/patience.ts'
import { nameOfVmx, type NatForward, type Vm, type VmNic, type VmwareSide } from './side.ts'

const kind = 'vmware'
const mediaType = 'application/vnd.vmware.vmw.rest-v1+json'

const Vms = z.array(z.object({ id: z.string(), path: z.string() }))
const Power = z.object({ power_state: z.string() })
const Ip = z.object({ ip: z.string() })
const Nics = z.object({
  nics: z.array(z.object({ type: z.string(), vmnet: z.string(), macAddress: z.string() })).nullish(),
})
const Forwards = z.object({
  port_forwardings: z
    .array(
      z.object({
        port: z.number(),
        protocol: z.string(),
        desc: z.string().nullish(),
        guest: z.object({ ip: z.string(), port: z.number() }),
      }),
    )
    .nullish(),
})
const Pins = z.object({ mactoips: z.array(z.object({ mac: z.string(), ip: z.string() })).nullish() })

/** `http://USER:PASSWORD@127.0.0.1:8697`, or null where it is no such address. */
export function restAt(written: string): VmwareSide | null {
  const url = URL.canParse(written) ? new URL(written) : null
  if (url?.protocol !== 'http:') return null
  const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  const place: HttpPlace = {
    at: { host: url.hostname, port: Number(url.port || 8697) },
    headers: { accept: mediaType, authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
  }
  return restSide(place, `http://${url.hostname}:${url.port || 8697}`)
}

// oxlint-disable-next-line max-lines-per-function -- a table: one entry a call
function restSide(place: HttpPlace, where: string): VmwareSide {
  const ask = <T>(path: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> =>
    reading(where, async () => schema.parse(await call(place, where, 'GET', path, signal)))
  const change = async (
    method: 'PUT' | 'DELETE',
    path: string,
    signal: AbortSignal,
    body?: Json,
  ): Promise<void> => {
    await reading(where, () => call(place, where, method, path, signal, body))
  }
  const forwardPath = (vmnet: string, { protocol, hostPort }: NatForward): string =>
    `/vmnet/${vmnet}/portforward/${protocol}/${hostPort}`

  return {
    where,
    costly: null,
    notes: [],
    async vms(signal) {
      const listed = await ask('/vms', Vms, signal)
      return Promise.all(
        listed.map(async ({ id, path }): Promise<Vm> => {
          const { power_state } = await ask(`/vms/${encodeURIComponent(id)}/power`, Power, signal)
          return { id, path, name: nameOfVmx(path), state: stateOf(power_state) }
        }),
      )
    },
    async addressOf({ id }, signal) {
      try {
        return (await ask(`/vms/${encodeURIComponent(id)}/ip`, Ip, signal)).ip || null
      } catch (error) {
        // Without VMware Tools in the guest it answers with an error, and its text is all that tells.
        if (error instanceof NaruError && error.code === 'GUEST_REFUSED') return null
        throw error
      }
    },
    async nicsOf({ id }, signal) {
      const { nics } = await ask(`/vms/${encodeURIComponent(id)}/nic`, Nics, signal)
      return (nics ?? []).map(({ type, vmnet, macAddress }): VmNic => ({
        type: type.toLowerCase(),
        vmnet: vmnet.toLowerCase(),
        mac: macAddress.toLowerCase(),
      }))
    },
    async forwards(vmnet, signal) {
      const { port_forwardings } = await ask(`/vmnet/${vmnet}/portforward`, Forwards, signal)
      return (port_forwardings ?? []).flatMap(({ port, protocol, desc, guest }): NatForward[] => {
        const known = protocol.toLowerCase()
        if (known !== 'tcp' && known !== 'udp') return []
        return [
          { protocol: known, hostPort: port, guestAddress: guest.ip, guestPort: guest.port, tag: desc ?? '' },
        ]
      })
    },
    add: (vmnet, forward, signal) =>
      change('PUT', forwardPath(vmnet, forward), signal, {
        guestIp: forward.guestAddress,
        guestPort: forward.guestPort,
        desc: forward.tag ?? '',
      }),
    remove: (vmnet, forward, signal) => change('DELETE', forwardPath(vmnet, forward), signal),
    async pinOf(vmnet, mac, signal) {
      const { mactoips } = await ask(`/vmnet/${vmnet}/mactoip`, Pins, signal)
      return (mactoips ?? []).find((pin) => pin.mac.toLowerCase() === mac)?.ip ?? null
    },
    // An empty address takes the pin away.
    pin: (vmnet, mac, address, signal) =>
      change('PUT', `/vmnet/${vmnet}/mactoip/${encodeURIComponent(mac)}`, signal, { IP: address ?? '' }),
  }
}

function stateOf(power: string): Vm['state'] {
  if (/on$/i.test(power)) return 'running'
  if (/off$/i.test(power)) return 'stopped'
  return /paused|suspended/i.test(power) ? 'paused' : 'unknown'
}

async function call(
  place: HttpPlace,
  where: string,
  method: 'GET' | 'PUT' | 'DELETE',
  path: string,
  signal: AbortSignal,
  body?: Json,
): Promise<Json> {
  const headers = { ...place.headers, ...(body !== undefined && { 'content-type': mediaType }) }
  const { status, body: answer } = await answered(
    (limit) =>
      askHttp({ ...place, headers }, method, `/api${path}`, {
        signal: limit,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    { kind, where, signal, ms: method === 'GET' ? answerMs : changeMs },
  )
  if (status >= 200 && status < 300) return answer
  if (status === 401)
    throw new NaruError('GUEST_NOT_HERE', {
      kind,
      why: say('vmrest does not take the user and password of NARU_VMREST (`vmrest -C` sets them)'),
    })
  // A forward that is gone already is what a DELETE wants.
  if (method === 'DELETE' && status === 404) return null
  throw new NaruError('GUEST_REFUSED', {
    kind,
    what: `${method} ${path}`,
    why: verbatim(`${status} ${messageIn(answer)}`),
  })
}

/** `{ "Code": 109, "Message": "…" }`. */
function messageIn(body: Json): string {
  const message = typeof body === 'object' && body !== null && 'Message' in body ? body.Message : null
  return typeof message === 'string' ? message.slice(0, 300) : ''
}

async function reading<T>(where: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (
      error instanceof z.ZodError ||
      error instanceof SyntaxError ||
      error instanceof RangeError ||
      errnoOf(error)?.startsWith('HPE_')
    )
      throw new NaruError(
        'GUEST_UNREADABLE',
        { kind, where, why: (error as Error).message.slice(0, 200) },
        { cause: error },
      )
    if (errnoOf(error) === 'ECONNREFUSED')
      throw new NaruError(
        'GUEST_NOT_HERE',
        { kind, why: say`vmrest does not run at ${where}` },
        { cause: error },
      )
    throw error
  }
}
