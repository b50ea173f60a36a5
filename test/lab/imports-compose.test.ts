/**
 * Imports never widen: what is imported of a Compose file is what docker-compose itself makes of it, port by port. It
 * reads the file alone, without a Docker.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import { importRules } from '../../src/formats/index.ts'
import { parseRule } from '../../src/model/rule-file.ts'
import { describeWith } from '../needs.ts'

type Published = string | { target: number; published?: number | string; protocol?: string }

/** `SERVICE ADDRESS PORT/PROTOCOL to PORT` of every port of its own that a service publishes. */
function ofCompose(config: string): string[] {
  const { services } = parse(config) as {
    services: Record<string, { ports?: Published[]; network_mode?: string }>
  }
  return Object.entries(services).flatMap(([service, { ports = [], network_mode: mode }]) =>
    ports.flatMap((port) => {
      const [, address = '', own = '', target = '', protocol = 'tcp'] =
        typeof port === 'string'
          ? (/^(?:(.*):)?(\d+):(\d+)(?:\/(\w+))?$/.exec(port) ?? [])
          : ['', '', String(port.published ?? ''), String(port.target), port.protocol ?? 'tcp']
      return own === '' || mode === 'host' ? [] : [`${service} ${address} ${own}/${protocol} to ${target}`]
    }),
  )
}

function ofImport(text: string): string[] {
  return importRules(text, { from: 'compose' }).rules.flatMap(({ name, rule }) => {
    const { listen, targets } = parseRule(name, rule)
    const [to] = targets.map((target) => target.to)
    if (listen.kind !== 'inet' || to?.kind !== 'guest') throw new Error(name)
    const { first, last } = listen.ports
    return listen.protocols.flatMap((protocol) =>
      Array.from({ length: last - first + 1 }, (_, at) => {
        const target = to.ports.first + (to.ports.first === to.ports.last ? 0 : at)
        return `${to.name} ${listen.address ?? ''} ${first + at}/${protocol} to ${target}`
      }),
    )
  })
}

const files: Record<string, string> = {
  'every form': `version: "3.8"
services:
  web:
    image: nginx
    ports:
      - "8080:80"
      - 127.0.0.1:8081:81
      - "[::1]:8082:82"
      - "9000-9002:9100-9102/udp"
      - "3000"
      - "127.0.0.1::3001"
      - { target: 85, published: 8085, protocol: udp, mode: host }
      - 6060:6060/udp
      - 6060:6060
      - 0.0.0.0:7001:7001/tcp
    expose: ["99"]
  quiet: { image: nginx }
`,
  'aliases and merges': `version: "3.8"
x-base: &base
  image: nginx
  ports: ["18081:81"]
x-ports: &ports ["18082:82", "18083:83/udp"]
services:
  merged: { <<: *base }
  own: { <<: *base, ports: ["18084:84"] }
  none: { <<: *base, ports: [] }
  list: { image: nginx, ports: *ports }
`,
  'other networks': `version: "3.8"
services:
  host: { image: nginx, network_mode: host, ports: ["8100:80"] }
  plain: { image: nginx, networks: [front], ports: ["8101:80"] }
networks:
  front: {}
`,
  'what a service extends': `version: "3.8"
services:
  base: { image: nginx, ports: ["8130:80", "8131:81"], network_mode: host }
  web: { extends: base, network_mode: bridge, ports: ["8132:82", "8130:80"] }
  host: { image: nginx, network_mode: host }
  deeper: { extends: host, ports: ["8134:84"] }
  deep: { extends: { service: deeper } }
`,
  'variables and ranges': `version: "3.8"
services:
  web:
    image: nginx
    ports:
      - "\${BIND:-127.0.0.1}:8110:80"
      - "\${PORT:-8111}:80"
      - "8120-8122:80"
      - "8123:80"
`,
}

describeWith({ commands: ['docker-compose'] }, 'what is imported of a Compose file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-compose-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each(Object.entries(files))('is what docker-compose publishes: %s', (_, text) => {
    const path = join(folder, 'compose.yaml')
    writeFileSync(path, text)
    const config = execFileSync('docker-compose', ['-f', path, 'config'], { encoding: 'utf8' })
    const there = ofCompose(config)
    const { losses } = importRules(text, { from: 'compose' })
    const ours = ofImport(text)
    expect(there).toEqual(expect.arrayContaining(ours))
    // What it prints itself has no variables any more; a port that Docker chooses is no port of the file.
    expect(new Set(ofImport(config))).toEqual(new Set(there.filter((one) => !/ \d+-\d+\//.test(one))))
    if (there.length > ours.length) expect(losses.some(({ leftOut }) => leftOut)).toBe(true)
  })
})
