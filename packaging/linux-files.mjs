// What a Linux package brings beside its format's own files: the program, the unit, the manual, completion, and the
// files that a person changes. Where a distribution keeps another place for one, its format says so.
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { shellScript } from '../dist/cli/shell-scripts.js'
import { systemdUnit } from '../dist/services/systemd/unit.js'
import { manPage } from './man.mjs'
import { root } from './packages.mjs'

/** What a person changes, and an upgrade keeps. */
export const configFiles = ['/etc/naru/naru.yaml', '/etc/default/naru']

/**
 * @param folder that stands for `/`
 * @param options.program the one file
 * @param options.licences text of the licences of what is inside
 * @param options.places `units` and `zsh`: the folders for the unit and for zsh's completion, without a slash in front
 * @returns puts one more file there: path without a slash in front, text, mode
 */
export async function putLinuxFiles(folder, { program, licences, version, seconds, places }) {
  const put = (path, text, mode = 0o644) => {
    mkdirSync(join(folder, dirname(path)), { recursive: true, mode: 0o755 })
    writeFileSync(join(folder, path), text)
    chmodSync(join(folder, path), mode)
  }
  put('usr/bin/naru', '')
  copyFileSync(program, join(folder, 'usr/bin/naru'))
  chmodSync(join(folder, 'usr/bin/naru'), 0o755)
  put(
    `${places.units}/naru.service`,
    systemdUnit({ command: ['/usr/bin/naru'], file: '/etc/naru/naru.yaml', api: null }),
  )
  put('etc/naru/naru.yaml', '# The rules of the service: man naru, or `naru add --help`.\nrules: {}\n')
  put('etc/default/naru', '# Environment of the service: see /usr/share/doc/naru/cli.md.gz, "Environment".\n')
  put('usr/share/man/man1/naru.1.gz', gzip(await manPage(version, seconds)))
  put('usr/share/bash-completion/completions/naru', shellScript('bash'))
  put(`${places.zsh}/_naru`, shellScript('zsh'))
  put('usr/share/fish/vendor_completions.d/naru.fish', shellScript('fish'))
  put('usr/share/doc/naru/LICENSES.txt.gz', gzip(licences))
  put('usr/share/doc/naru/CHANGELOG.md.gz', gzip(readFileSync(join(root, 'CHANGELOG.md'))))
  put('usr/share/doc/naru/cli.md.gz', gzip(readFileSync(join(root, 'docs/cli.md'))))
  return put
}

export const gzip = (text) => gzipSync(text, { level: 9 })
