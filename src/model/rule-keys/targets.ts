/** `target` and `targets`: where a rule leads, and how several share. */
import { NaruError } from '../../base/errors.ts'
import { say, sayOf } from '../../base/text.ts'
import { either, isMap, listOf, mapped, record, whole, written, yesNo, type Read } from '../schema.ts'
import { asciiName, formatTarget, parseTarget, type Target } from '../target.ts'
import { numeric } from './shapes.ts'

const examples = ['192.168.79.128:80', 'docker:web:80'] as const

export const target = written(parseTarget, { examples }, (to) => numeric(formatTarget(to)))

const targetKeys = {
  to: { shape: written(parseTarget, { examples }, formatTarget), doc: sayOf('rule key')('where it goes') },
  /** Share of new connections, 1–256. */
  weight: {
    shape: whole(1, 256),
    doc: say('its share of new connections'),
    fallback: 1,
  },
  /** Used only while no other target is up. */
  backup: {
    shape: yesNo,
    doc: say('only while no other is up'),
    fallback: false,
  },
  /** TLS server name or HTTP host this target serves: `a.example.org`, `*.example.org`; null serves what no other does. */
  name: {
    shape: written(parseServerName, { type: 'string', examples: ['a.example.org', '*.example.org'] }),
    doc: say('TLS server name or HTTP host that it serves'),
    fallback: null,
  },
} as const

export type TargetChoice = Read<typeof targetKeys>

export const targets = listOf(
  either((value) => !isMap(value), mapped(target, aloneTo), record(targetKeys)),
  { least: 1, most: 256 },
)

/** A rule's only target. */
export function aloneTo(to: Target): TargetChoice {
  return { to, weight: 1, backup: false, name: null }
}

function parseServerName(text: string): string {
  const name = asciiName(text)
  if (
    name.length <= 253 &&
    /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/.test(name)
  )
    return name
  throw new NaruError('VALUE_INVALID', {
    what: 'name',
    value: text,
    why: say('write a host name such as a.example.org or *.example.org'),
  })
}
