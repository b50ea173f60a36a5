/** What stands beside the rules in the file, and everything that is wrong with it as a whole. */
import { say, type Text } from '../../base/text.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import { isMap, nearest, type Problem } from '../../model/schema.ts'
import type { Snapshot } from '../contract.ts'

const topKeys = ['rules', 'sample', 'names', 'stun']

export interface Top {
  readonly rules?: Readonly<Record<string, RuleInput>> | null
  readonly sample?: number | null
  readonly names?: readonly string[] | null
  readonly stun?: readonly string[] | null
}

const stunPort = 3478
/** A host name or address, and for STUN a port: `stun.example.org:3478`, `[2001:db8::1]:3478`. */
const hostPattern = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/
const serverPattern = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9.-]{1,253}))(?::(\d{1,5}))?$/

export function stunServer(text: string): Snapshot['stun'][number] {
  const [, six, host = '', port] = serverPattern.exec(text) ?? []
  return { host: six ?? host, port: port === undefined ? stunPort : Number(port) }
}

export function structureProblems(data: unknown): Problem[] {
  if (data === null) return []
  if (!isMap(data))
    return [
      {
        path: [],
        text: say('the file is a map with the key rules'),
      },
    ]
  const problems: Problem[] = []
  for (const key of Object.keys(data)) {
    if (topKeys.includes(key)) continue
    const guess = nearest(key, topKeys)
    problems.push({
      path: [key],
      text: say`unknown key ${key}; ${guess ? say`did you mean ${guess}?` : say`allowed are: ${topKeys.join(', ')}`}`,
    })
  }
  if (data.rules !== undefined && data.rules !== null && !isMap(data.rules)) {
    problems.push({
      path: ['rules'],
      text: say('rules is a map: a name, and below it the rule'),
    })
  }
  const { sample } = data
  if (
    sample !== undefined &&
    sample !== null &&
    !(Number.isInteger(sample) && Number(sample) >= 1 && Number(sample) <= 65_535)
  ) {
    problems.push({
      path: ['sample'],
      text: say('sample is a port from 1 to 65535'),
    })
  }
  problems.push(
    ...listProblems('names', data.names, isHostName, say('a host name, such as home.example.org')),
    ...listProblems('stun', data.stun, isStunServer, say('HOST or HOST:PORT, such as stun.example.org:3478')),
  )
  return problems
}

const isHostName = (value: string): boolean => hostPattern.test(value)

function isStunServer(value: string): boolean {
  const match = serverPattern.exec(value)
  const port = Number(match?.[3] ?? stunPort)
  return match !== null && port >= 1 && port <= 65_535
}

function listProblems(
  key: string,
  value: unknown,
  isRight: (value: string) => boolean,
  what: Text,
): Problem[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) return [{ path: [key], text: say`${key} is a list of: ${what}` }]
  return value.flatMap((one: unknown, at) =>
    typeof one === 'string' && isRight(one)
      ? []
      : [{ path: [key, at], text: say`each of ${key} is ${what}` }],
  )
}
