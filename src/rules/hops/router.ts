/** The router hop: the rule's ports are opened on whatever router is there, for IPv4 and, where there is one, IPv6. */
import { addressRange } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import { formatPortRange } from '../../base/port.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { Rule } from '../../model/rule.ts'
import type { RouterPublisher } from '../../mappings/publisher.ts'
import { keyOf, type DesiredHop } from './desired.ts'

/** Null where the rule does not ask for it. Looks for routers, so that the plan can say which protocol it will be. */
export async function desireRouter(
  rule: Rule,
  publisher: RouterPublisher,
  signal: AbortSignal,
): Promise<DesiredHop | null> {
  const { listen } = rule
  const { router: by, externalPort } = rule.publish
  if (by === 'off' || listen.kind !== 'inet') return null
  const wish = {
    rule: rule.name,
    by,
    protocols: listen.protocols,
    ports: listen.ports,
    externalPort,
    address: listen.address,
    allow: rule.allow,
  }
  const best = (await publisher.finder.findBy(by, { signal }))[0]
  const outside =
    externalPort === 'any' ? say('any port') : same(externalPort ?? formatPortRange(listen.ports))
  return {
    hop: 'router',
    member: best?.member ?? (by === 'auto' ? 'router' : by),
    what: say`map external port ${outside}/${listen.protocols.join('+')} to this machine`,
    why: best
      ? say`${best.address} answers by ${best.flavour}`
      : say('no router answers yet; it is asked again'),
    needs: null,
    key: keyOf('router', wish),
    // The same row of the router's list cannot be held twice.
    replace: 'close-first',
    async open({ signal, record }) {
      if (listen.address !== null && addressRange(listen.address) === 'loopback')
        throw loopbackOnly(listen.address)
      return publisher.open(wish, { signal, record })
    },
  }
}

function same(word: string | number): Text {
  return verbatim(String(word))
}

function loopbackOnly(address: string): NaruError {
  return new NaruError('VALUE_INVALID', {
    what: 'listen',
    value: address,
    why: say('what a router sends here never reaches a loopback address; listen without an address'),
  })
}
