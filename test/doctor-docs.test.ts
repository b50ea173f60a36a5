/**
 * docs/doctor.md is made from the checks and from the list of faults that the lab makes. Written anew by
 * `npx vitest run test/doctor-docs.test.ts -u`.
 */
import { expect, it } from 'vitest'
import type { Check } from '../src/doctor/checks/contract.ts'
import { checks } from '../src/doctor/checks/index.ts'
import { faults, pairs, recorded } from './lab/faults.ts'

it('docs/doctor.md says what the checks say', async () => {
  await expect(page()).toMatchFileSnapshot('../docs/doctor.md')
})

it('every cause is made in the lab, or has a recording', () => {
  const proven = [...faults.map(({ code }) => code), ...Object.keys(recorded)]
  expect(checks.map(({ code }) => code).toSorted()).toEqual([...new Set(proven)].toSorted())
  expect(new Set(faults.map(({ code }) => code)).size).toBeGreaterThanOrEqual(24)
})

function page(): string {
  return [
    '# What `naru doctor` can find',
    '',
    'One section a cause, from the inside out. A code is stable: it appears in `--json` and in scripts. This page is made',
    'from the source of the checks and from the list of faults of the lab (`test/lab/faults.ts`).',
    '',
    'Every check stands alone and has a limit of 11 s; all run at once. A finding that only follows from another is folded',
    'under it, and of the rest the innermost hop that blocks comes first.',
    '',
    '## The fault matrix',
    '',
    'Each fault is really made, one at a time, on a chain of network namespaces: an internet, a router (miniupnpd), a host',
    'with nftables that drops by default, Naru’s own members, a service. The test holds that the doctor names this code as',
    'its one root cause and no other, within 12 s; and that on the same chain without a fault it names none.',
    '',
    '| code | hop | the fault that is made | the verdict |',
    '|---|---|---|---|',
    ...faults.map(
      ({ code, made }) => `| [\`${code}\`](#${code}) | ${hopOf(code)} | ${made} | \`${code}\`, no other |`,
    ),
    '',
    'Pairs of faults: the inner one is the verdict, and once it is repaired, the outer one.',
    '',
    '| first | then |',
    '|---|---|',
    ...pairs.map(([inner, outer]) => `| \`${inner}\` | \`${outer}\` |`),
    '',
    'The others are held by what the systems really print:',
    '',
    '| code | hop | what stands in |',
    '|---|---|---|',
    ...Object.entries(recorded).map(([code, how]) => `| [\`${code}\`](#${code}) | ${hopOf(code)} | ${how} |`),
    '',
    '## What the daemon watches by itself',
    '',
    'Every 2.5 s it reads back what its rules hold (service, guest, firewall, router), and opens again what was lost. Every',
    '4 s it makes the cheap ones of these checks on every open rule, quietly: a service of this machine is found in the',
    'socket table and not dialled; one elsewhere is dialled over TCP, and the connection is reset without a byte (its log',
    'may have a line of each, and a service that takes a single connection, as `nc -l`, takes this one). A fault that was seen',
    'twice is told within 10 s, in `naru ls`, as an event and in the log.',
    '',
    'What is told does not flap: between two changes of a hop at least 5 s pass, and a hop counts as well again when it',
    'has been so for 5 s; for 10, 20, 40, 60 s where it broke again and again. It is repaired each time all the same.',
    'With hundreds of rules each has its turn less often: 200 of them in a second.',
    '',
    `The cheap checks: ${checks
      .filter(({ cheap }) => cheap)
      .map(({ code }) => `[\`${code}\`](#${code})`)
      .join(', ')}.`,
    '',
    '## The causes',
    '',
    ...checks.flatMap(section),
  ].join('\n')
}

const hopOf = (code: string): string => checks.find((check) => check.code === code)?.hop ?? ''

const severities = {
  blocks: 'stops traffic',
  warns: 'a warning',
  informs: 'a remark, no fault',
} as const

function section({ code, hop, title, explains, remedy, severity, dependsOn }: Check): string[] {
  const under = dependsOn.map((other) => `[\`${other}\`](#${other})`).join(', ')
  return [
    `### ${code}`,
    '',
    `**${title.en}** · ${title.ko}`,
    '',
    `*Hop:* ${hop} · *Severity:* ${severities[severity]}`,
    '',
    `*Seen by:* ${explains.en}`,
    '',
    `*Way out:* ${remedy.en}.`,
    '',
    `${explains.ko} **해결:** ${remedy.ko}.`,
    ...(under === '' ? [] : ['', `*Folded under:* ${under}.`]),
    '',
  ]
}
