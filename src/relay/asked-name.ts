/** Which name a client asks for: TLS says it in its hello, HTTP in its Host header; the first byte tells which. */
import { HelloReader, unrecognizedName } from './client-hello.ts'
import { headTooLarge, HostReader, misdirected } from './host-header.ts'

export type NameAnswer =
  /** Look again once there are more bytes. */
  | { readonly state: 'more' }
  /**
   * Null where the client names nobody, or speaks neither protocol. `refusal` is what to answer where nobody serves
   * the name; empty where the client would not understand it.
   */
  | { readonly state: 'asked'; readonly name: string | null; readonly refusal: Buffer }
  /** Nobody is to be dialled. */
  | { readonly state: 'refused'; readonly refusal: Buffer }

/** 22 begins a TLS handshake record; no HTTP method does. */
const tlsHandshake = 22
const nothing = Buffer.alloc(0)

/** What one client asks for. What has been looked at is not looked at again, so the work grows with the bytes. */
export class AskedName {
  #reader: HelloReader | HostReader | null = null

  /** @param bytes all that the client has said so far, each time with the former in front. */
  look(bytes: Uint8Array): NameAnswer {
    if (bytes.length === 0) return { state: 'more' }
    const tls = bytes[0] === tlsHandshake
    this.#reader ??= tls ? new HelloReader() : new HostReader()
    const read = this.#reader.read(bytes)
    switch (read.state) {
      case 'more':
        return read
      case 'too-large':
        return { state: 'refused', refusal: headTooLarge }
      case 'bad':
        return { state: 'asked', name: null, refusal: tls ? unrecognizedName : nothing }
      case 'done':
        return { state: 'asked', name: read.name, refusal: tls ? unrecognizedName : misdirected }
    }
  }
}
