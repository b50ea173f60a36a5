/** Lets a page log in again that was open before this Naru held the port: `protocol/proof.ts` says how. */
import { randomBytes } from 'node:crypto'
import { formatEndpoint } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import { proofOf, type Meeting } from '../protocol/proof.ts'
import type { Access, Login, ReturnOffer } from '../protocol/wire.ts'
import { loginOf, same, secretOf, type Tokens } from './guard.ts'

/** Anybody may ask for an offer, so no more than these wait for their answer; the oldest makes room. */
const mostOffers = 64

export class Returning {
  readonly #tokens: Tokens
  /** By our nonce. */
  readonly #offers = new Map<string, { readonly access: Access; readonly meeting: Meeting }>()

  constructor(tokens: Tokens) {
    this.#tokens = tokens
  }

  /** @param end the server's end of the connection */
  async offer(
    access: Access,
    pageNonce: string,
    end: { localAddress?: string | undefined; localPort?: number | undefined },
  ): Promise<ReturnOffer> {
    const address = (end.localAddress ?? '').replace(/^::ffff:/, '')
    const at = formatEndpoint(address, end.localPort ?? 0)
    const naruNonce = randomBytes(16).toString('base64url')
    const meeting: Meeting = { at, pageNonce, naruNonce }
    this.#offers.set(naruNonce, { access, meeting })
    for (const oldest of this.#offers.keys()) {
      if (this.#offers.size <= mostOffers) break
      this.#offers.delete(oldest)
    }
    return { at, naruNonce, proof: await proofOf(this.#secretOf(access), 'naru', meeting) }
  }

  /** Once for each offer. @throws NaruError API_NO_TOKEN */
  async take(naruNonce: string, proof: string): Promise<Login> {
    const offer = this.#offers.get(naruNonce)
    this.#offers.delete(naruNonce)
    if (!offer || !same(proof, await proofOf(this.#secretOf(offer.access), 'page', offer.meeting)))
      throw new NaruError('API_NO_TOKEN', {})
    return loginOf(offer.access, this.#tokens)
  }

  #secretOf(access: Access): string {
    return secretOf(access === 'full' ? this.#tokens.token : this.#tokens.readToken)
  }
}
