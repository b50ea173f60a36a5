/** One word of a command that a person is to type: a name with spaces, quotes or a `;` stays one word. */

/** For sh(1), and on Windows for cmd.exe and PowerShell, where no file and no guest has a `"` in its name. */
export function shellWord(word: string, platform: NodeJS.Platform = process.platform): string {
  if (platform === 'win32') return /^[\w@%+=:,./\\-]+$/.test(word) ? word : `"${word.replaceAll('"', '')}"`
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
