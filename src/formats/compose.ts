/**
 * Published ports of a Compose file: each becomes a rule that dials the container by name, so that it follows the
 * container's address. https://docs.docker.com/reference/compose-file/services/#ports
 */
import { isMap, isScalar, isSeq, LineCounter, type Node, type Pair } from 'yaml'
import type { Protocol } from '../base/port.ts'
import { yamlDocument } from '../base/yaml.ts'
import { say, type Text } from '../base/text.ts'
import type { Place } from '../model/exchange.ts'
import type { ReadableFormat } from './contract.ts'
import { carriesNothing } from './contract/aspects.ts'
import { listenText, ruleName, type PartLoss, type Reading } from './contract/reading.ts'

export const compose: ReadableFormat = {
  id: 'compose',
  title: say('Docker Compose, ports of compose.yaml', 'Docker Compose, compose.yaml의 ports'),
  carries: { ...carriesNothing, udp: true, range: true, guestTarget: true },
  looksRight: (text) => /^services:/m.test(text) && /^[ \t]{1,40}["']?ports["']?:/m.test(text),
  read,
}

/** An alias may share a few services; a bomb repeats itself. */
const mostAliases = 100

interface Port {
  readonly address: string | null
  /** `8080` or `8000-8100`. */
  readonly published: string
  readonly target: string
  readonly protocol: Protocol
}

/** Compose files are small, and YAML is slow to read. */
const mostSigns = 1024 * 1024

function read(text: string, reading: Reading): void {
  if (text.length > mostSigns)
    return reading.wrong(
      { line: 1, column: 1 },
      say(`longer than ${mostSigns} signs`, `${mostSigns}자보다 깁니다`),
    )
  const lines = new LineCounter()
  const document = yamlDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'silent',
    merge: true,
  })
  if (document === null)
    return reading.wrong(
      { line: 1, column: 1 },
      say('it is nested too deeply', '너무 깊이 중첩되어 있습니다'),
    )
  const at = (node: unknown): Place => {
    const { line, col } = lines.linePos((node as Node | null)?.range?.[0] ?? 0)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  for (const { pos, message } of document.errors) {
    const { line, col } = lines.linePos(pos[0])
    const first = message.split('\n')[0] ?? message
    reading.wrong({ line, column: col }, say(first, `YAML 문법 오류: ${first}`))
  }
  if (document.errors.length > 0) return
  try {
    document.toJS({ maxAliasCount: mostAliases })
  } catch {
    return reading.wrong(
      { line: 1, column: 1 },
      say('aliases are expanded too often', '별칭이 너무 많이 펼쳐집니다'),
    )
  }
  const services = document.get('services', true)
  if (!isMap(services))
    return reading.wrong({ line: 1, column: 1 }, say('there are no services', 'services가 없습니다'))
  for (const pair of services.items) readService(pair, reading, at)
}

function readService(pair: Pair, reading: Reading, at: (node: unknown) => Place): void {
  const service = String(isScalar(pair.key) ? pair.key.value : pair.key)
  if (!isMap(pair.value)) return
  const ports = pair.value.get('ports', true)
  const container = pair.value.get('container_name')
  const mode = pair.value.get('network_mode')
  if (mode === 'host')
    reading.lose(
      at(pair.key),
      `${service}: network_mode: host`,
      say(
        'its ports are this machine’s own; nothing is forwarded',
        '이 컴퓨터의 포트를 그대로 쓰므로 포워딩이 없습니다',
      ),
    )
  if (ports === undefined || ports === null || mode === 'host') return
  if (!isSeq(ports)) return reading.wrong(at(ports), say('ports is a list', 'ports는 목록입니다'))
  const guest = typeof container === 'string' ? container : service
  for (const item of ports.items) {
    const written = isScalar(item)
      ? String(item.value)
      : isMap(item)
        ? JSON.stringify(item.toJSON())
        : String(item)
    const port = isScalar(item)
      ? shortPort(String(item.source ?? item.value))
      : isMap(item)
        ? longPort(item.toJSON() as Record<string, unknown>)
        : unknownForm
    if ('why' in port) reading.leaveOut(at(item), `${service}: ${written}`, port.why)
    else addPort(port, { service, guest, written, place: at(item) }, reading)
  }
}

function addPort(
  port: Port,
  from: { service: string; guest: string; written: string; place: Place },
  reading: Reading,
): void {
  const { service, guest, written, place } = from
  const losses: PartLoss[] = []
  if (port.published === '')
    return reading.leaveOut(
      place,
      `${service}: ${written}`,
      say('Docker chooses the port; write one', 'Docker가 포트를 고릅니다. 포트를 직접 쓰세요'),
    )
  reading.add(
    place,
    ruleName(service),
    {
      listen: listenText(port.address, port.published, [port.protocol]),
      target: `docker:${guest}:${port.target}`,
    },
    { what: `${service}: ${written}`, losses },
  )
}

const variable = say(
  'variables are not replaced here: run `docker compose config` and import what it prints',
  '변수는 여기서 바뀌지 않습니다. `docker compose config`의 출력을 가져오세요',
)
const unknownForm = {
  why: say('write [ADDRESS:]PORT:PORT[/PROTOCOL]', '[주소:]포트:포트[/프로토콜] 형식으로 쓰세요'),
}

/** `[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]` */
function shortPort(text: string): Port | { why: Text } {
  if (text.includes('$')) return { why: variable }
  const match = /^(?:(?:(\[[\da-f:.]+\]|[\d.]+):)?(\d+(?:-\d+)?)?:)?(\d+(?:-\d+)?)(?:\/(tcp|udp))?$/i.exec(
    text.trim(),
  )
  if (!match) return unknownForm
  const [, address, published = '', target = '', protocol = 'tcp'] = match
  return checked({
    address: address?.replaceAll(/[[\]]/g, '') ?? null,
    published,
    target,
    protocol: protocol.toLowerCase() as Protocol,
  })
}

function longPort(port: Record<string, unknown>): Port | { why: Text } {
  const word = (key: string): string => {
    const value = port[key]
    return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  }
  if (Object.values(port).some((value) => typeof value === 'string' && value.includes('$')))
    return { why: variable }
  const protocol = word('protocol') || 'tcp'
  if (protocol !== 'tcp' && protocol !== 'udp')
    return { why: say(`${protocol}: only TCP and UDP`, `${protocol}: TCP와 UDP만 됩니다`) }
  return checked({
    address: word('host_ip') || null,
    published: word('published'),
    target: word('target'),
    protocol,
  })
}

/** A range to one port is Docker's to choose from; ours would send all of them there. */
function checked(port: Port): Port | { why: Text } {
  if (port.published.includes('-') && !port.target.includes('-'))
    return {
      why: say(
        'Docker takes one free port of the range; write which',
        'Docker가 범위에서 빈 포트 하나를 고릅니다. 포트를 정하세요',
      ),
    }
  return port
}
