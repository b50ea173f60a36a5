/** Bytes of a file into text: UTF-8, what PowerShell's `>` writes (UTF-16), and what a Korean cmd.exe writes (CP949). */
export function decoded(bytes: Uint8Array): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes)
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder('utf-16be').decode(bytes)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    // Addresses and ports are ASCII in both; only headings and names differ.
    return new TextDecoder('euc-kr').decode(bytes)
  }
}
