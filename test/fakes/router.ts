/**
 * A home router on real loopback sockets that does what its switches say: each is something a real router was seen
 * or reported to do. It keeps one table, whichever protocol wrote it, and counts what it was asked.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Quirks {
  /** 725 to any lease but 0. */
  permanentOnly?: boolean
  /** 402 to any lease but 0. */
  refuses402UnlessPermanent?: boolean
  /** That code, as the router writes it, to any lease but 0. */
  refusesLease?: number
  /** That code to a permanent mapping. */
  refusesPermanent?: number
  /** Says yes to a lease and keeps nothing; keeps what is permanent. */
  keepsPermanentOnly?: boolean
  /** Reads every lease back as 0. */
  tellsNoLease?: boolean
  /** So many seconds of a lease have run when it is read. */
  ranSeconds?: number
  /** Asking again for what is there lengthens nothing. */
  renewsNothing?: boolean
  /** What its list makes of descriptions. */
  shows?: 'blank' | 'cleaned' | 'its own'
  /** Does as asked by this action and drops the connection, or answers an empty page. */
  losesAnswerTo?: string
  emptyAnswerTo?: string
  /** That HTTP status to so many of the next actions that change something. */
  stumbles?: { status: number; times: number }
  /** Drops a second connection while it serves one. */
  oneConnection?: boolean
  /** What it answers for one row, of which its list knows: none (714), or a failure. */
  rowFault?: number
  /** Has no list either. */
  noList?: boolean
  /** Maps that external port, whatever was asked for. */
  ignoresExternalPort?: number
  /** Answers no SOAP, or not at all, to who asks for its address. */
  addressAnswer?: 'html' | 'silence'
  /** Another device of the box answers every search, and first. */
  otherDevice?: boolean
  /** Answers `upnp:rootdevice` alone. */
  rootDeviceOnly?: boolean
  /** Its connections: WANIPConnection first, each with its address and status. */
  connections?: readonly { readonly address: string; readonly status: string }[]
  /** Describes itself once more, as version 1, under the same name, and that one answers first. */
  twice?: boolean
  /** Says that it deleted and keeps the row. */
  keepsDeleted?: boolean
  /** 718 to who asks for another machine than itself. */
  strict?: boolean
  /** PCP and NAT-PMP: success for no time at all. */
  lifeless?: boolean
  /** Keeps of TCP and UDP the first. */
  oneProtocol?: boolean
  /** 724 unless external and internal port are equal. */
  equalPortsOnly?: boolean
  /** 718 to a renewal of what is there. */
  conflictOnRenewal?: boolean
  /** Says yes and keeps nothing. */
  successWithoutEntry?: boolean
  /** Maps to the external port inside, whatever was asked. */
  ignoresInternalPort?: boolean
  /** Reads every row back with internal port 0. */
  tellsNoInternalPort?: boolean
  /** LOCATION names another host. */
  locationElsewhere?: boolean
  /** SSDP answers come from another port. */
  otherReplyPort?: boolean
  emptyExternalAddress?: boolean
  /** 501 to every new mapping. */
  full?: boolean
  /** The description says IGD:1 with WANIPConnection:1. */
  versionOne?: boolean
  /** Answers no search. */
  noUpnp?: boolean
  /** Answers no BOOTID. */
  noBootId?: boolean
  /** GetGeneric never says 713: `repeat` the same entry, `new` ones for ever. */
  endlessList?: 'repeat' | 'new'
  /** Sends its description a byte at a time, for ever. */
  slowDrip?: boolean
  /** Sends a description of megabytes. */
  huge?: boolean
  /** A description with a document type and entities. */
  entities?: boolean
  /** Redirects to another host. */
  redirects?: boolean
  /** GetListOfPortMappings is not there (401), leaves rows out, or comes in a CDATA section. */
  list?: 'none' | 'partial' | 'cdata'
  /** GetSpecific is not there (401). */
  noReadBack?: boolean
  /** PCP and NAT-PMP: success with this port, PREFER_FAILURE or not. */
  givesPort?: number
  /** PCP: UNSUPP_OPTION to any option. */
  noOptions?: boolean
  /** PCP and NAT-PMP answer with another's nonce or port first. */
  wrongTransactionFirst?: boolean
  /** Is there by PCP and NAT-PMP, and never answers who maps. */
  mapsForEver?: boolean
  /** UPnP lists only what UPnP made. */
  listsOwnOnly?: boolean
  /** Takes what it is asked and answers nothing. */
  silent?: boolean
  /** So many questions by PCP and NAT-PMP get lost from now on. */
  loses?: number
  /** Does what it is asked by PCP and NAT-PMP, and its answers come too late for anybody, as where it is busy. */
  answersLate?: boolean
  /** PCP is answered by NAT-PMP's "unsupported version". */
  natPmpOnly?: boolean
  /** A result code for every PCP MAP. */
  pcpResult?: number
  /** A result code for every NAT-PMP mapping. */
  natPmpResult?: number
  /** Grants at most this lease. */
  longestLease?: number
  /** A UPnP code for every mapping. */
  refuses?: number
}

export interface FakeEntry {
  protocol: 'tcp' | 'udp'
  externalPort: number
  internalAddress: string
  internalPort: number
  description: string
  leaseSeconds: number
  /** As it writes it. @default '1' */
  enabled?: string
}

const address = '127.0.0.1'

export class FakeRouter implements AsyncDisposable {
  readonly quirks: Quirks
  readonly table = new Map<string, FakeEntry>()
  /** How often each SOAP action, path, `ssdp`, `pcp` and `nat-pmp` was asked. */
  readonly asked = new Map<string, number>()
  externalAddress = '203.0.114.7'
  bootId = 1
  epochStart = performance.now()
  #http: Server | null = null
  readonly #ssdp: Socket
  readonly #other: Socket
  readonly #portControl: Socket

  private constructor(quirks: Quirks, sockets: readonly [Socket, Socket, Socket]) {
    this.quirks = quirks
    ;[this.#ssdp, this.#other, this.#portControl] = sockets
    this.#ssdp.on('message', (bytes, from) => this.#onSearch(bytes, from))
    this.#portControl.on('message', (bytes, from) => this.#onPortControl(bytes, from))
  }

  static async start(quirks: Quirks = {}): Promise<FakeRouter> {
    const sockets = await Promise.all([bound(), bound(), bound()])
    const router = new FakeRouter(quirks, sockets)
    await router.#listen()
    return router
  }

  get ssdpPort(): number {
    return this.#ssdp.address().port
  }

  /** PCP and NAT-PMP. */
  get port(): number {
    return this.#portControl.address().port
  }

  get httpPort(): number {
    const bound = this.#http?.address() ?? null
    return bound === null ? 0 : (bound as AddressInfo).port
  }

  /** As after a power cut: everything is forgotten, HTTP is on another port, the epoch begins anew. */
  async restart(): Promise<void> {
    await closed(this.#http)
    this.table.clear()
    this.bootId++
    this.epochStart = performance.now()
    await this.#listen()
  }

  count(what: string): number {
    return this.asked.get(what) ?? 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closed(this.#http)
    for (const socket of [this.#ssdp, this.#other, this.#portControl]) socket.close()
  }

  #note(what: string): void {
    this.asked.set(what, this.count(what) + 1)
  }

  async #listen(): Promise<void> {
    const server = createServer((request, response) => void this.#onHttp(request, response))
    let open = 0
    server.on('connection', (socket) => {
      if (this.quirks.oneConnection && open > 0) return void socket.resetAndDestroy()
      open++
      socket.on('close', () => open--)
    })
    this.#http = server
    await new Promise<void>((resolve) => server.listen(0, address, resolve))
  }

  #onSearch(bytes: Buffer, from: RemoteInfo): void {
    this.#note('ssdp')
    if (this.quirks.noUpnp || this.quirks.silent) return
    const target = /^ST: *(.*)$/im.exec(bytes.toString())?.[1]?.trim() ?? ''
    const { otherDevice, rootDeviceOnly, twice } = this.quirks
    const pages = [...(twice ? ['v1Desc.xml'] : []), 'rootDesc.xml']
    if (otherDevice)
      for (const page of ['tv.xml', 'nas.xml', 'hub.xml', 'printer.xml'])
        this.#answerSearch(target, page, from)
    if (rootDeviceOnly && target !== 'upnp:rootdevice') return
    for (const page of pages) this.#answerSearch(target, page, from)
  }

  #answerSearch(target: string, page: string, from: RemoteInfo): void {
    const host = this.quirks.locationElsewhere ? '10.255.255.1' : address
    const lines = [
      'HTTP/1.1 200 OK',
      'CACHE-CONTROL: max-age=120',
      `ST: ${target}`,
      `USN: uuid:fake::${target}`,
      'EXT:',
      'SERVER: Fake/1 UPnP/1.1',
      `LOCATION: http://${host}:${this.httpPort}/${page}`,
      ...(this.quirks.noBootId ? [] : [`BOOTID.UPNP.ORG: ${this.bootId}`]),
      '',
      '',
    ]
    const socket = this.quirks.otherReplyPort ? this.#other : this.#ssdp
    socket.send(lines.join('\r\n'), from.port, from.address)
  }

  async #onHttp(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#note(request.url ?? '')
    if (this.quirks.silent) return
    if (request.url === '/rootDesc.xml') return this.#describe(response)
    if (request.url === '/v1Desc.xml') return void response.end(description(1))
    if (/\/(tv|nas|hub|printer)\.xml/.test(request.url ?? '')) return void response.end(otherDescription)
    const line = /^\/ctl(\d*)$/.exec(request.url ?? '')?.[1]
    if (line === undefined) return void response.writeHead(404).end()
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const action = /#(\w+)"/.exec(String(request.headers.soapaction))?.[1] ?? ''
    this.#note(action)
    const client = /<NewInternalClient>([^<]*)</.exec(body)?.[1]
    if (this.quirks.strict && client !== undefined && client !== request.socket.remoteAddress)
      return refuse(response, 718)
    const { stumbles, losesAnswerTo, emptyAnswerTo, addressAnswer } = this.quirks
    if (stumbles && stumbles.times > 0 && /^(Add|Delete)/.test(action)) {
      stumbles.times--
      return void response.writeHead(stumbles.status).end('<html>Bad</html>')
    }
    if (action === 'GetExternalIPAddress' && addressAnswer === 'silence') return
    if (action === 'GetExternalIPAddress' && addressAnswer) return void response.end('<html>Login</html>')
    if (losesAnswerTo === action || emptyAnswerTo === action) {
      this.#act(action, body, nowhere)
      return void (emptyAnswerTo === action ? response.end() : request.socket.resetAndDestroy())
    }
    this.#note(`${action} ${line}`)
    this.#act(action, body, response, this.quirks.connections?.[Number(line)])
  }

  #describe(response: ServerResponse): void {
    if (this.quirks.redirects) return void response.writeHead(302, { location: 'http://10.255.255.1/' }).end()
    if (this.quirks.huge) return void response.end('<root>' + 'x'.repeat(4 * 1024 * 1024))
    if (this.quirks.slowDrip) {
      response.writeHead(200)
      const timer = setInterval(() => response.write('<'), 20)
      response.on('close', () => clearInterval(timer))
      return
    }
    const type = this.quirks.entities
      ? '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
      : ''
    response.end(
      `<?xml version="1.0"?>${type}${description(this.quirks.versionOne ? 1 : 2, this.quirks.connections?.length)}`,
    )
  }

  #act(
    action: string,
    body: string,
    response: Answer,
    line?: { readonly address: string; readonly status: string },
  ): void {
    const value = (name: string): string => new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? ''
    const key = `${value('NewProtocol').toLowerCase()} ${value('NewExternalPort')}`
    const reply = (values: Record<string, string | number>): void => answer(response, action, values)
    const fault = (code: number): void => refuse(response, code)
    switch (action) {
      case 'GetExternalIPAddress':
        return reply({
          NewExternalIPAddress: this.quirks.emptyExternalAddress
            ? ''
            : (line?.address ?? this.externalAddress),
        })
      case 'GetStatusInfo':
        return reply({
          NewConnectionStatus: line?.status ?? 'Connected',
          NewUptime: Math.floor(this.#seconds()),
        })
      case 'GetSpecificPortMappingEntry': {
        if (this.quirks.noReadBack) return fault(401)
        if (this.quirks.rowFault) return fault(this.quirks.rowFault)
        const entry = this.table.get(key)
        if (this.quirks.listsOwnOnly && entry?.description === '') return fault(714)
        return entry ? reply(entryValues(this.#shown(entry))) : fault(714)
      }
      case 'GetListOfPortMappings':
        return this.#list(value, reply, fault)
      case 'GetGenericPortMappingEntry':
        return this.#generic(Number(value('NewPortMappingIndex')), reply, fault)
      case 'DeletePortMapping':
        if (this.quirks.keepsDeleted) return reply({})
        return this.table.delete(key) ? reply({}) : fault(714)
      case 'AddPortMapping':
      case 'AddAnyPortMapping':
        return this.#add(action, value, key, reply, fault)
      default:
        return fault(401)
    }
  }

  #list(
    value: (name: string) => string,
    reply: (values: Record<string, string | number>) => void,
    fault: (code: number) => void,
  ): void {
    const { list, versionOne } = this.quirks
    if (list === 'none' || versionOne || this.quirks.noList) return fault(401)
    const [first, last] = [Number(value('NewStartPort')), Number(value('NewEndPort'))]
    const found = [...this.table.values()].filter(
      ({ protocol, externalPort }) =>
        protocol === value('NewProtocol').toLowerCase() && externalPort >= first && externalPort <= last,
    )
    if (found.length === 0) return fault(730)
    const rows = found.slice(list === 'partial' ? 1 : 0).map((entry) => listed(this.#shown(entry)))
    const inside = `<p:PortMappingList xmlns:p="urn:schemas-upnp-org:gw:WANIPConnection">${rows.join('')}</p:PortMappingList>`
    reply({ NewPortListing: list === 'cdata' ? `<![CDATA[${inside}]]>` : escaped(inside) })
  }

  #generic(
    index: number,
    reply: (values: Record<string, string | number>) => void,
    fault: (code: number) => void,
  ): void {
    if (this.quirks.noList) return fault(401)
    const endless = {
      protocol: 'tcp',
      externalPort: 1 + (index % 60_000),
      internalAddress: '10.0.0.9',
      internalPort: 1,
      description: 'x',
      leaseSeconds: 0,
    } as const
    const entry =
      this.quirks.endlessList === 'new'
        ? endless
        : this.quirks.endlessList === 'repeat'
          ? { ...endless, externalPort: 7 }
          : [...this.table.values()][index]
    return entry
      ? reply({
          NewRemoteHost: '',
          NewExternalPort: entry.externalPort,
          NewProtocol: entry.protocol.toUpperCase(),
          ...entryValues(this.#shown(entry)),
        })
      : fault(713)
  }

  /** As its list tells it. */
  #shown(entry: FakeEntry): FakeEntry {
    const { shows, tellsNoLease, ranSeconds, tellsNoInternalPort } = this.quirks
    const own = { blank: '', cleaned: entry.description.replace(/[^a-z0-9]/gi, ''), 'its own': 'UPnP' }
    return {
      ...entry,
      ...(shows && { description: own[shows] }),
      ...(tellsNoLease && { leaseSeconds: 0 }),
      ...(ranSeconds && { leaseSeconds: entry.leaseSeconds - ranSeconds }),
      ...(tellsNoInternalPort && { internalPort: 0 }),
    }
  }

  #add(
    action: string,
    value: (name: string) => string,
    key: string,
    reply: (values: Record<string, string | number>) => void,
    fault: (code: number) => void,
  ): void {
    const lease = Number(value('NewLeaseDuration'))
    const [external, internal] = [Number(value('NewExternalPort')), Number(value('NewInternalPort'))]
    const existing = this.table.get(key)
    if (action === 'AddAnyPortMapping' && this.quirks.versionOne) return fault(401)
    if (this.quirks.refuses) return fault(this.quirks.refuses)
    if (this.quirks.permanentOnly && lease !== 0) return fault(725)
    if (this.quirks.refuses402UnlessPermanent && lease !== 0) return fault(402)
    if (this.quirks.refusesLease && lease !== 0) return fault(this.quirks.refusesLease)
    if (this.quirks.refusesPermanent && lease === 0) return fault(this.quirks.refusesPermanent)
    if (this.quirks.equalPortsOnly && external !== internal) return fault(724)
    if (this.quirks.full) return fault(501)
    if (
      existing &&
      (this.quirks.conflictOnRenewal || existing.internalAddress !== value('NewInternalClient'))
    )
      if (action === 'AddPortMapping') return fault(718)
    const other = existing && action === 'AddAnyPortMapping' ? 40_000 : external
    const port = this.quirks.ignoresExternalPort ?? other
    const entry: FakeEntry = {
      protocol: value('NewProtocol') === 'UDP' ? 'udp' : 'tcp',
      externalPort: port,
      internalAddress: value('NewInternalClient'),
      internalPort: this.quirks.ignoresInternalPort ? external : internal,
      description: value('NewPortMappingDescription'),
      leaseSeconds: this.quirks.longestLease ? Math.min(lease, this.quirks.longestLease) : lease,
    }
    const { successWithoutEntry, keepsPermanentOnly, oneProtocol, renewsNothing } = this.quirks
    const twin = `${entry.protocol === 'tcp' ? 'udp' : 'tcp'} ${port}`
    const forgets =
      successWithoutEntry ||
      (keepsPermanentOnly && lease > 0) ||
      (oneProtocol && this.table.has(twin)) ||
      (renewsNothing && existing)
    if (!forgets) this.table.set(`${entry.protocol} ${port}`, entry)
    reply(action === 'AddAnyPortMapping' ? { NewReservedPort: port } : {})
  }

  #onPortControl(bytes: Buffer, from: RemoteInfo): void {
    const reply = (answer: Uint8Array): void => {
      if (!this.quirks.answersLate) this.#portControl.send(answer, from.port, from.address)
    }
    this.#note(bytes[0] === 2 ? 'pcp' : 'nat-pmp')
    if ((this.quirks.loses ?? 0) > 0) return void this.quirks.loses!--
    if (this.quirks.mapsForEver && bytes[1] !== 0) return
    if (bytes[0] === 2) this.#onPcp(bytes, from.address, reply)
    else this.#onNatPmp(bytes, from.address, reply)
  }

  #onNatPmp(bytes: Buffer, client: string, reply: (answer: Uint8Array) => void): void {
    const opcode = bytes[1] ?? 0
    const head = (result: number, length: number): Buffer => {
      const answer = Buffer.alloc(length)
      answer.writeUInt8(opcode + 128, 1)
      answer.writeUInt16BE(result, 2)
      answer.writeUInt32BE(this.#seconds(), 4)
      return answer
    }
    if (opcode === 0) {
      const answer = head(0, 12)
      answer.set(this.externalAddress.split('.').map(Number), 8)
      return reply(answer)
    }
    const [internal, external, lifetime] = [
      bytes.readUInt16BE(4),
      bytes.readUInt16BE(6),
      bytes.readUInt32BE(8),
    ]
    const protocol = opcode === 1 ? 'udp' : 'tcp'
    const granted = this.#grant({ protocol, client, internal, external, lifetime })
    const answer = head(this.quirks.natPmpResult ?? 0, 16)
    answer.writeUInt16BE(internal, 8)
    answer.writeUInt16BE(granted, 10)
    answer.writeUInt32BE(this.#lease(lifetime), 12)
    if (this.quirks.wrongTransactionFirst) {
      const wrong = Buffer.from(answer)
      wrong.writeUInt16BE(internal ^ 1, 8)
      reply(wrong)
    }
    reply(answer)
  }

  #onPcp(bytes: Buffer, client: string, reply: (answer: Uint8Array) => void): void {
    if (this.quirks.natPmpOnly) return reply(Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0))
    const opcode = bytes[1] ?? 0
    const answer = Buffer.from(bytes.subarray(0, opcode === 0 ? 24 : 60))
    answer.writeUInt8(0x80 | opcode, 1)
    answer.writeUInt16BE(0, 2)
    answer.writeUInt32BE(this.#seconds(), 8)
    answer.fill(0, 12, 24)
    if (opcode === 0) return reply(answer)
    const result = this.quirks.noOptions && bytes.length > 60 ? 5 : (this.quirks.pcpResult ?? 0)
    answer.writeUInt8(result, 3)
    if (result === 0) this.#grantPcp(bytes, client, answer)
    if (this.quirks.wrongTransactionFirst) {
      const wrong = Buffer.from(answer)
      wrong.writeUInt8(wrong.readUInt8(24) ^ 1, 24)
      reply(wrong)
    }
    reply(answer)
  }

  #grantPcp(bytes: Buffer, client: string, answer: Buffer): void {
    const [internal, external, lifetime] = [
      bytes.readUInt16BE(40),
      bytes.readUInt16BE(42),
      bytes.readUInt32BE(4),
    ]
    const protocol = bytes.readUInt8(36) === 17 ? 'udp' : 'tcp'
    answer.writeUInt32BE(this.#lease(lifetime), 4)
    answer.writeUInt16BE(this.#grant({ protocol, client, internal, external, lifetime }), 42)
    answer.fill(0, 44, 54)
    answer.writeUInt16BE(0xffff, 54)
    answer.set(this.externalAddress.split('.').map(Number), 56)
  }

  #grant(wish: {
    protocol: 'tcp' | 'udp'
    client: string
    internal: number
    external: number
    lifetime: number
  }): number {
    const { protocol, client, internal, lifetime } = wish
    const external = this.quirks.givesPort ?? wish.external
    for (const [key, entry] of this.table)
      if (entry.protocol === protocol && entry.internalPort === internal && entry.internalAddress === client)
        this.table.delete(key)
    if (lifetime > 0)
      this.table.set(`${protocol} ${external}`, {
        protocol,
        externalPort: external,
        internalAddress: client,
        internalPort: internal,
        description: '',
        leaseSeconds: lifetime,
      })
    return lifetime > 0 ? external : 0
  }

  #lease(asked: number): number {
    if (this.quirks.lifeless) return 0
    return this.quirks.longestLease ? Math.min(asked, this.quirks.longestLease) : asked
  }

  #seconds(): number {
    return Math.max(0, Math.floor((performance.now() - this.epochStart) / 1000))
  }
}

function entryValues(entry: FakeEntry): Record<string, string | number> {
  return {
    NewInternalPort: entry.internalPort,
    NewInternalClient: entry.internalAddress,
    NewEnabled: entry.enabled ?? '1',
    NewPortMappingDescription: entry.description,
    NewLeaseDuration: entry.leaseSeconds,
  }
}

function listed(entry: FakeEntry): string {
  const values = {
    NewRemoteHost: '',
    NewExternalPort: entry.externalPort,
    NewProtocol: entry.protocol.toUpperCase(),
    NewInternalPort: entry.internalPort,
    NewInternalClient: entry.internalAddress,
    NewEnabled: entry.enabled ?? '1',
    NewDescription: escaped(entry.description),
    NewLeaseTime: entry.leaseSeconds,
  }
  const inside = Object.entries(values).map(([name, value]) => `<p:${name}>${value}</p:${name}>`)
  return `<p:PortMappingEntry>${inside.join('')}</p:PortMappingEntry>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** What an answer that gets lost is written to. */
type Answer = Pick<ServerResponse, 'writeHead' | 'end'>
const nowhere = { writeHead: () => nowhere, end: () => nowhere } as unknown as Answer

function answer(response: Answer, action: string, values: Record<string, string | number>): void {
  const inside = Object.entries(values).map(([name, value]) => `<${name}>${value}</${name}>`)
  response.writeHead(200, { 'content-type': 'text/xml' })
  response.end(envelope(`<u:${action}Response xmlns:u="urn:x">${inside.join('')}</u:${action}Response>`))
}

function refuse(response: Answer, code: number): void {
  response.writeHead(500, { 'content-type': 'text/xml' })
  response.end(
    envelope(
      '<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>' +
        `<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>${code}</errorCode>` +
        '<errorDescription>No</errorDescription></UPnPError></detail></s:Fault>',
    ),
  )
}

function envelope(body: string): string {
  return `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>${body}</s:Body></s:Envelope>`
}

const otherDescription =
  '<root><device><deviceType>urn:schemas-upnp-org:device:MediaServer:1</deviceType><UDN>uuid:tv</UDN></device></root>'

/** @param lines WANIPConnection, and so many less one WANPPPConnection. */
export function description(version: 1 | 2, lines = 1): string {
  const service = Array.from(
    { length: lines },
    (_, line) =>
      `<service><serviceType>urn:schemas-upnp-org:service:${line === 0 ? `WANIPConnection:${version}` : 'WANPPPConnection:1'}</serviceType>` +
      `<serviceId>a</serviceId><controlURL>/ctl${line || ''}</controlURL><eventSubURL>/evt</eventSubURL><SCPDURL>/s.xml</SCPDURL></service>`,
  ).join('')
  const device = (type: string, inside: string): string =>
    `<device><deviceType>urn:schemas-upnp-org:device:${type}:${version}</deviceType><friendlyName>Fake</friendlyName>` +
    '<manufacturer>ASUSTeK</manufacturer><modelName>RT-FAKE</modelName><UDN>uuid:fake</UDN>' +
    `${inside}<presentationURL>http://192.168.50.1/</presentationURL></device>`
  const wan = device('WANConnectionDevice', `<serviceList>${service}</serviceList>`)
  const middle = device('WANDevice', `<deviceList>${wan}</deviceList>`)
  return `<root xmlns="urn:schemas-upnp-org:device-1-0">${device('InternetGatewayDevice', `<deviceList>${middle}</deviceList>`)}</root>`
}

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, address, resolve))
  return socket
}

function closed(server: Server | null): Promise<void> {
  server?.closeAllConnections()
  return new Promise((resolve) => (server ? server.close(() => resolve()) : resolve()))
}
