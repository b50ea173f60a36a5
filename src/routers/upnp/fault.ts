/** What a router refuses by UPnP's own codes (IGD: WANIPConnection:2 §2.5, WANIPv6FirewallControl §2.4), and what it means. */
import { NaruError } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'

/** Stays inside the member: the stories branch on its code, and what leaves is a NaruError. */
export class UpnpFault extends Error {
  readonly code: number
  constructor(code: number, description: string) {
    super(`UPnP ${code}${description ? ` ${description}` : ''}`)
    this.code = code
  }
}

export function faultCode(failure: unknown): number | null {
  return failure instanceof UpnpFault ? failure.code : null
}

/** No such entry: 713 and 714, and 402 or 501 of routers that have no better word are judged by their callers. */
export function isNoEntry(failure: unknown): boolean {
  const code = faultCode(failure)
  return code === 713 || code === 714
}

/** The action is not there at all. */
export function isUnknownAction(failure: unknown): boolean {
  const code = faultCode(failure)
  return code === 401 || code === 602
}

/** Codes that name their cause; 402 and 501 stand for anything (qBittorrent's tracker: also numbers such as -911). */
const telling: ReadonlySet<number> = new Set([
  401, 602, 606, 701, 703, 713, 714, 715, 716, 718, 724, 725, 726, 727, 728, 729, 730, 732,
])

/** True where it may be anything, the lease that was asked for above all. */
export function tellsNoCause(code: number): boolean {
  return !telling.has(code)
}

/** @param hasAddress false where the router has no public address, which some say as 501. */
export function explainFault(failure: unknown, router: string, port: number, hasAddress: boolean): NaruError {
  if (failure instanceof NaruError) return failure
  if (!(failure instanceof UpnpFault)) throw failure
  const { code, message } = failure
  const refused = (said: Text): NaruError =>
    new NaruError('ROUTER_REFUSED', { router, port, why: say`${said} (${message})` }, { cause: failure })
  switch (code) {
    case 501:
      return hasAddress
        ? refused(say('it failed and does not say why: its list may be full'))
        : noAddress(router, failure)
    case 728:
    case 701:
      return full(router, message, failure)
    case 606:
    case 703:
      return refused(say('it does not allow this device or this port'))
    case 718:
    case 729:
      return new NaruError(
        'ROUTER_PORT_TAKEN',
        {
          router,
          port,
          owner: say('another device, or a row typed in by hand'),
        },
        { cause: failure },
      )
    case 724:
      return refused(
        say('it opens only the port the service itself has: make externalPort and the listen port equal'),
      )
    case 732:
    case 715:
    case 716:
    case 727:
      return refused(say('it cannot map this port for every source'))
    default:
      return refused(say('it says no'))
  }
}

function full(router: string, why: string, cause: unknown): NaruError {
  return new NaruError('ROUTER_TABLE_FULL', { router, why }, { cause })
}

function noAddress(router: string, cause: unknown): NaruError {
  const why = say('its own address is private or missing')
  return new NaruError('ROUTER_NO_ADDRESS', { router, why }, { cause })
}
