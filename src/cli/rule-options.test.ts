import { describe, expect, it } from 'vitest'
import { fakeNow } from '../../test/fakes/naru.ts'
import { parseRule } from '../model/rule-file.ts'
import type { RuleInput } from '../model/naru-api.ts'
import { parseWords } from './parse.ts'
import { publishedAsSaid, ruleFrom, ruleOptions, targetsFrom } from './rule-options.ts'
import { on } from './verb.ts'

function rule(line: string): RuleInput {
  const verb = { name: 'open', summary: { en: '', ko: '' }, options: ruleOptions }
  const { options } = parseWords(verb, 'naru open', line.split(' ').filter(Boolean), [])
  const option = (name: string): string | null => options[name]?.at(-1) ?? null
  const asked = {
    option,
    options: (name: string) => options[name] ?? [],
    switched: (name: string) => option(name) === on,
  }
  return ruleFrom(asked, 'naru open', fakeNow)
}

describe('options become the keys of the file', () => {
  const cases: [string, RuleInput][] = [
    ['', {}],
    ['--publish', { publish: { firewall: 'auto', router: 'auto' } }],
    ['--publish --router=pcp', { publish: { firewall: 'auto', router: 'pcp' } }],
    ['--publish --firewall off', { publish: { firewall: 'off', router: 'auto' } }],
    ['--firewall ufw --external-port 80', { publish: { firewall: 'ufw', externalPort: 80 } }],
    ['--router --external-port any', { publish: { router: 'auto', externalPort: 'any' } }],
    ['--guest', { publish: { guest: 'nat' } }],
    ['--guest direct', { publish: { guest: 'direct' } }],
    ['--allow 10.0.0.0/8 --allow 192.168.0.0/16,::1', { allow: ['10.0.0.0/8', '192.168.0.0/16', '::1'] }],
    ['--deny 10.1.0.0/16 --accept-proxy 10.0.0.1', { deny: ['10.1.0.0/16'], acceptProxy: ['10.0.0.1'] }],
    ['--for 2h', { until: '2026-12-24T14:00:00.000Z' }],
    ['--for 9999999999h', { until: '9999-12-31T23:59:59.999Z' }],
    ['--until 2026-12-24T18:00:00+09:00', { until: '2026-12-24T18:00:00+09:00' }],
    [
      '--engine splice --source keep --proxy-udp first',
      { engine: 'splice', source: 'keep', proxyUdp: 'first' },
    ],
    [
      '--balance source-hash --health 5s,2,3',
      { balance: 'source-hash', health: { every: '5s', rise: 2, fall: 3 } },
    ],
    [
      '--limit-connections 10 --limit-per-source 2 --limit-new-per-second 5 --limit-bandwidth 100mbit',
      { limits: { connections: 10, perSource: 2, newPerSecond: 5, bandwidth: '100mbit' } },
    ],
    [
      '--timeout-connect 5s --timeout-idle 0 --timeout-udp=5m --timeout-drain 30s --timeout-hello 2s --timeout-keepalive 1m',
      { timeouts: { connect: '5s', idle: '0', udp: '5m', drain: '30s', hello: '2s', keepalive: '1m' } },
    ],
    [
      '--timeout-idle 1m --set timeouts.udp=9m --set enabled=false --set limits.connections=7',
      { timeouts: { idle: '1m', udp: '9m' }, enabled: false, limits: { connections: 7 } },
    ],
  ]
  it.each(cases)('%s', (line, expected) => {
    expect(rule(line)).toEqual(expected)
    // The file takes them as they are.
    const several = 'balance' in expected || 'health' in expected
    const targets = several ? { targets: ['10.0.0.1:80', '10.0.0.2:80'] } : { target: '10.0.0.1:80' }
    expect(parseRule('web', { listen: '8888/tcp+udp', ...targets, ...rule(line) }).name).toBe('web')
  })

  const wrong: [string, string][] = [
    ['--for 2x', '--for "2x" is not valid'],
    ['--for 1h --until 2026-12-24T18:00:00Z', 'give --for or --until, not both'],
    ['--limit-connections many', '--limit-connections wants a whole number, not "many"'],
    ['--engine fast', '--engine is one of auto, kernel, splice, sockets, not "fast"'],
    ['--router=fritz', '--router is one of auto, off, pcp, nat-pmp, upnp, not "fritz"'],
    ['--allow', '--allow needs a value: --allow CIDR'],
    ['--allow --publish', '--allow needs a value'],
    ['--publish=yes', '--publish takes no value'],
    ['--engine sockets --engine kernel', '--engine is given twice'],
    ['--alow 10.0.0.0/8', 'there is no option --alow; did you mean --allow?'],
    ['--set timeouts', '--set wants KEY=VALUE'],
    ['--set __proto__.x=1', '--set wants KEY=VALUE'],
  ]
  it.each(wrong)('%s is told', (line, message) => {
    expect(() => rule(line)).toThrow(message)
  })
})

describe('what is published', () => {
  it('is what was said and no more', () => {
    expect(publishedAsSaid(rule('--firewall'), false)).toEqual({
      publish: { firewall: 'auto', router: 'off' },
    })
    expect(publishedAsSaid(rule('--guest'), undefined)).toEqual({
      publish: { firewall: 'off', router: 'off', guest: 'nat' },
    })
    expect(publishedAsSaid(rule('--router=pcp'), true)).toEqual({
      publish: { firewall: 'auto', router: 'pcp' },
    })
    expect(publishedAsSaid(rule('--router=pcp'), { firewall: 'ufw' })).toEqual({ publish: { router: 'pcp' } })
    expect(publishedAsSaid(rule('--for 1h'), true)).not.toHaveProperty('publish')
  })
})

describe('targets', () => {
  it('are one, or several with their share', () => {
    expect(targetsFrom(['80'], 'naru open')).toEqual({ target: '80' })
    expect(
      targetsFrom(
        ['10.0.0.2:80,weight=2', 'docker:a:443,name=a.example.org', '10.0.0.3:80,backup'],
        'naru open',
      ),
    ).toEqual({
      targets: [
        { to: '10.0.0.2:80', weight: 2 },
        { to: 'docker:a:443', name: 'a.example.org' },
        { to: '10.0.0.3:80', backup: true },
      ],
    })
    expect(() => targetsFrom(['80,heavy'], 'naru open')).toThrow('write weight=N, backup or name=HOST')
  })
})

it('no option stands for two keys', () => {
  const names = ruleOptions.map(({ name }) => name)
  expect(names).toEqual([...new Set(names)])
})
