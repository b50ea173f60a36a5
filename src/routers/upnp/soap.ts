/** SOAP as UPnP control uses it (UPnP Device Architecture 2.0 §3.1): one action to text, its answer or fault from text. */
import { escapeXml } from '../../base/xml.ts'
import { child, entries, parseXml, textOf, unescapeXml, type Xml } from './xml.ts'

/** In the order of the specification: some routers read by position. */
export type Arguments = readonly (readonly [name: string, value: string | number])[]

export type SoapAnswer =
  | { readonly ok: true; readonly values: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly code: number; readonly description: string }

export function soapRequest(
  service: string,
  action: string,
  values: Arguments,
): { body: string; headers: Record<string, string> } {
  const inside = values.map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`).join('')
  const body =
    '<?xml version="1.0"?>\r\n' +
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>' +
    `<u:${action} xmlns:u="${escapeXml(service)}">${inside}</u:${action}></s:Body></s:Envelope>\r\n`
  return {
    body,
    headers: { SOAPAction: `"${service}#${action}"`, 'Content-Type': 'text/xml; charset="utf-8"' },
  }
}

/** Undefined where it is neither the action's answer nor a fault. */
export function parseSoapAnswer(text: string, action: string): SoapAnswer | undefined {
  const body = child(child(parseXml(text), 'Envelope'), 'Body')
  const fault = child(body, 'Fault')
  if (fault !== undefined) return parseFault(fault)
  const answer = child(body, `${action}Response`)
  if (answer === undefined) return undefined
  const values = new Map(entries(answer).map(([name]) => [name, textOf(answer, name) ?? '']))
  if (values.has(documentInside)) values.set(documentInside, insideOf(text, answer))
  return { ok: true, values }
}

/** The one value that is a document itself: escaped, or as it is in a CDATA section. */
const documentInside = 'NewPortListing'

function insideOf(text: string, answer: Xml): string {
  const inside = child(answer, documentInside)
  if (typeof inside !== 'string') return ''
  // Resolved twice, what another machine wrote into its description would become elements of ours.
  return /<(?:\w+:)?NewPortListing[^<>]*>\s*<!\[CDATA\[/.test(text) ? inside : unescapeXml(inside)
}

function parseFault(fault: Parameters<typeof child>[0]): SoapAnswer {
  const error = child(child(fault, 'detail'), 'UPnPError')
  const code = Number(textOf(error, 'errorCode'))
  const description = textOf(error, 'errorDescription') ?? textOf(fault, 'faultstring') ?? ''
  return {
    ok: false,
    // Some have numbers of their own, such as -911.
    code: Number.isInteger(code) && code !== 0 ? code : 501,
    description: description.slice(0, 200),
  }
}
