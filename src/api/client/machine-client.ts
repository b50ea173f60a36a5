/** `MachineApi` spoken from afar, for the web page: the machine is the daemon's, not the browser's. */
import { NaruError, type NaruErrorJson } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Diagnosis, DoctorEvent } from '../../model/diagnosis.ts'
import type { LanNeighbour, MachineApi } from '../../model/machine-api.ts'
import type { RouterAdded, RouterDesk, RouterEntry, RouterView } from '../../model/router.ts'
import { queryOf } from '../protocol/wire.ts'
import { errorFrom, type ClientTransport, type TransportRequest } from './client.ts'
import { eventsIn } from './sse.ts'

export function createMachineClient(transport: ClientTransport): MachineApi {
  const ask = async <T>(request: TransportRequest): Promise<T> => {
    const { status, body } = await transport.ask(request)
    if (status < 200 || status > 299) throw errorFrom(body, transport.where, status)
    return body as T
  }
  const get = <T>(path: string, signal: AbortSignal): Promise<T> => ask<T>({ method: 'GET', path, signal })
  return {
    addresses: ({ signal, mayAskInternet }) =>
      get(`/api/machine/addresses${queryOf({ internet: mayAskInternet })}`, signal),
    ports: ({ signal, ...options }) => get(`/api/machine/ports${queryOf({ ...options })}`, signal),
    router: routerClient(ask),
    firewall: ({ signal }) => get('/api/machine/firewall', signal),
    admits: ({ protocol, port, from }, { signal }) =>
      get(`/api/machine/firewall/explain${queryOf({ protocol, port, from: from ?? undefined })}`, signal),
    guests: ({ signal }) => get('/api/machine/guests', signal),
    neighbours: async ({ signal }) =>
      (await get<{ neighbours: readonly LanNeighbour[] }>('/api/machine/neighbours', signal)).neighbours,
    async diagnose({ signal, about, mayAskInternet, names = [], fromPhone = false, onEvent }) {
      const query = queryOf({ about, internet: mayAskInternet, names: names.join(',') || undefined })
      const asked = fromPhone
        ? { method: 'POST' as const, path: `/api/doctor/phone${query}` }
        : { method: 'GET' as const, path: `/api/doctor${query}` }
      for await (const { event, data } of eventsIn(transport.stream({ ...asked, signal }))) {
        if (event === 'check') onEvent?.(JSON.parse(data) as DoctorEvent)
        if (event === 'diagnosis') return JSON.parse(data) as Diagnosis
        if (event === 'failed') throw errorFrom(JSON.parse(data) as NaruErrorJson, transport.where, 200)
      }
      throw new NaruError('API_SILENT', {
        where: transport.where,
        why: say('the diagnosis ended early', '진단이 중간에 끝났습니다'),
      })
    },
  }
}

type Ask = <T>(request: TransportRequest) => Promise<T>

function routerClient(ask: Ask): RouterDesk {
  const mappings = '/api/machine/mappings'
  return {
    info: async ({ signal }) => {
      const path = '/api/machine/routers'
      return (await ask<{ routers: readonly RouterView[] }>({ method: 'GET', path, signal })).routers
    },
    list: async ({ signal }) =>
      (await ask<{ mappings: readonly RouterEntry[] }>({ method: 'GET', path: mappings, signal })).mappings,
    add: async (body, { signal }) =>
      (await ask<{ added: readonly RouterAdded[] }>({ method: 'POST', path: mappings, body, signal })).added,
    remove: async ({ protocol, externalPort }, { signal, force }) => {
      const path = `${mappings}/${protocol}/${externalPort}${queryOf({ force })}`
      await ask({ method: 'DELETE', path, signal })
    },
    check: ({ name, protocols, ports, externalPort }, { signal }) =>
      ask({
        method: 'POST',
        path: '/api/machine/routers/check',
        body: { name, protocols, ports, externalPort },
        signal,
      }),
  }
}
