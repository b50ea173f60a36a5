/** The name that clients use points to another address than the one we have now. */
import { isPublic } from '../../base/address.ts'
import { messageOf } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

export const dnsStale = defineCheck({
  code: 'dns-stale',
  hop: 'outside',
  title: say('the name points to an old address'),
  explains: say(
    'Resolves the names you give out and compares with the router’s outside address, our own public ones, and STUN’s.',
  ),
  remedy: say('update the record, or let the router’s DDNS do it'),
  async look({ look, names }) {
    const given = await names()
    if (given.length === 0) return null
    const current = await ourAddresses(look)
    if (current.length === 0) return null
    const checked = await Promise.all(
      given.map(async (name) => {
        try {
          return { name, has: await look.addressesOf(name), why: '' }
        } catch (error) {
          return { name, has: [], why: messageOf(error) }
        }
      }),
    )
    return checked
      .filter(({ has }) => !has.some((address) => current.includes(address)))
      .map(({ name, has, why }) => ({
        evidence: [
          has.length > 0
            ? say`${name} is ${has.join(', ')}; our public address is ${current.join(', ')}`
            : say`${name} has no address (${why})`,
        ],
        fixes: [
          {
            text: say`set ${name} to ${current[0]} at your DNS provider`,
          },
          {
            instead: true,
            text: say('switch DDNS on at the router (ASUS: WAN → DDNS; ipTIME: 고급 설정 → 특수기능 → DDNS)'),
          },
        ],
      }))
  },
})

async function ourAddresses(look: Parameters<typeof dnsStale.run>[0]['look']): Promise<string[]> {
  const own = (await look.interfaces()).flatMap(({ addresses }) => addresses.map(({ address }) => address))
  const wans = (await look.routers()).flatMap(({ info }) =>
    info?.externalAddress ? [info.externalAddress] : [],
  )
  const stun = await look.stun()
  return [...new Set([...(stun ? [stun] : []), ...wans, ...own])].filter(isPublic)
}
