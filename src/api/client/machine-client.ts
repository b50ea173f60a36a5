/** `MachineApi` spoken from afar, for the web page: the machine is the daemon's, not the browser's. */
import { NaruError, type NaruErrorJson } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Diagnosis, DoctorEvent } from '../../model/diagnosis.ts'
import type { MachineApi } from '../../model/machine-api.ts'
import type { RouterDesk } from '../../model/router.ts'
import { requestOf, routes } from '../protocol/routes.ts'
import { askerOf, errorFrom, type Ask, type ClientTransport } from './client.ts'
import { eventsIn } from './sse.ts'

export function createMachineClient(transport: ClientTransport): MachineApi {
  const ask = askerOf(transport)
  return {
    addresses: ({ signal, mayAskInternet: internet }) =>
      ask(routes.addresses, { query: { internet }, signal }),
    ports: ({ signal, ...query }) => ask(routes.ports, { query, signal }),
    router: routerClient(ask),
    firewall: ({ signal }) => ask(routes.firewall, { signal }),
    admits: ({ protocol, port, from }, { signal }) =>
      ask(routes.explain, { query: { protocol, port, from: from ?? undefined }, signal }),
    guests: ({ signal }) => ask(routes.guests, { signal }),
    neighbours: async ({ signal }) => (await ask(routes.neighbours, { signal })).neighbours,
    async diagnose({ signal, about, mayAskInternet, names = [], fromPhone = false, onEvent }) {
      const query = { about, internet: mayAskInternet, names: names.join(',') || undefined }
      const request = requestOf(fromPhone ? routes.phone : routes.doctor, { query, signal })
      for await (const { event, data } of eventsIn(transport.stream(request))) {
        if (event === 'check') onEvent?.(JSON.parse(data) as DoctorEvent)
        if (event === 'diagnosis') return JSON.parse(data) as Diagnosis
        if (event === 'failed') throw errorFrom(JSON.parse(data) as NaruErrorJson, transport.where, 200)
      }
      throw new NaruError('API_SILENT', {
        where: transport.where,
        why: say('the diagnosis ended early'),
      })
    },
  }
}

function routerClient(ask: Ask): RouterDesk {
  return {
    info: async ({ signal }) => (await ask(routes.routers, { signal })).routers,
    list: async ({ signal }) => (await ask(routes.mappings, { signal })).mappings,
    add: async (body, { signal }) => (await ask(routes.addMapping, { body, signal })).added,
    remove: async ({ protocol, externalPort: port }, { signal, force }) => {
      await ask(routes.removeMapping, { parts: { protocol, port }, query: { force }, signal })
    },
    check: ({ name, protocols, ports, externalPort }, { signal }) =>
      ask(routes.checkMapping, { body: { name, protocols, ports, externalPort }, signal }),
  }
}
