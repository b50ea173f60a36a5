/** Text as XML has it: XML 1.0, section 2.4. */

/** For an element's text and for a value in quotes. Control characters stay, and are no XML (2.2). */
export function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&apos;')
}
