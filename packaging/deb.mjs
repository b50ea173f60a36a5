// A Debian package around one file: the unit, the manual, completion, and an upgrade that hands over to the new process.
// Debian's own dpkg-deb puts it together.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { configFiles, gzip, putLinuxFiles } from './linux-files.mjs'
import { architectures } from './packages.mjs'

/**
 * @param options.target a key of `architectures`
 * @param options.program the one file for that target
 * @param options.licences text of the licences of what is inside
 * @param options.file where the package goes
 * @param options.version of Naru
 * @param options.maintainer `NAME <ADDRESS>`
 * @param options.seconds since 1970, for every time in it
 */
export async function deb({ target, program, licences, file, version, maintainer, seconds }) {
  const folder = mkdtempSync(join(tmpdir(), 'naru-deb-'))
  try {
    chmodSync(folder, 0o755)
    const places = { units: 'lib/systemd/system', zsh: 'usr/share/zsh/vendor-completions' }
    const put = await putLinuxFiles(folder, { program, licences, version, seconds, places })
    put('usr/share/doc/naru/copyright', copyright)
    put('usr/share/doc/naru/changelog.gz', gzip(changelog({ version, maintainer, seconds })))
    put('usr/share/lintian/overrides/naru', overrides)
    const installed = Math.ceil(
      Number(execFileSync('du', ['-sk', folder], { encoding: 'utf8' }).split('\t')[0]),
    )
    put(
      'DEBIAN/control',
      control({ version, maintainer, installed, architecture: architectures[target].deb }),
    )
    put('DEBIAN/conffiles', configFiles.map((path) => `${path}\n`).join(''))
    for (const [name, text] of Object.entries(scripts)) put(`DEBIAN/${name}`, text, 0o755)
    execFileSync('find', [folder, '-exec', 'touch', '-h', '-d', `@${seconds}`, '{}', '+'])
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z1', '--build', folder, file], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds) },
      stdio: ['ignore', 'ignore', 2],
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const control = ({ version, maintainer, installed, architecture }) => `Package: naru
Version: ${version}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${installed}
Depends: libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 8)
Recommends: conntrack, iproute2, nftables
Section: net
Priority: optional
Description: port forwarding through router, firewall, relay and guest
 One command publishes a service through every hop between an outside
 client and the service, and says which hop is broken when one is. Naru
 opens router mappings, firewall rules, a relay and a virtual machine's
 forwards, keeps them open, and takes everything away again.
`

/** Debian wants to be told of the licence that it has itself; those of what is inside are in a file of their own. */
const copyright = `Naru is under the Apache License 2.0, which Debian has in
/usr/share/common-licenses/Apache-2.0.

Copyright 2026 the contributors of Naru

Node.js and other packages are inside of /usr/bin/naru. Their copyright and
licences are in /usr/share/doc/naru/LICENSES.txt.gz.
`

const changelog = ({ version, maintainer, seconds }) => `naru (${version}) unstable; urgency=medium

  * What changed is in /usr/share/doc/naru/CHANGELOG.md.gz.

 -- ${maintainer}  ${new Date(seconds * 1000).toUTCString().replace('GMT', '+0000')}
`

/** Node is inside as its makers built it, and what was put in would not outlive strip(1). */
const overrides = `naru: unstripped-binary-or-object [usr/bin/naru]
naru: embedded-library *
naru: hardening-no-pie *
`

const scripts = {
  postinst: `#!/bin/sh
set -e
if [ "$1" = configure ] || [ "$1" = abort-remove ]; then
  deb-systemd-helper unmask naru.service >/dev/null || true
  if deb-systemd-helper --quiet was-enabled naru.service; then
    deb-systemd-helper enable naru.service >/dev/null || true
  else
    deb-systemd-helper update-state naru.service >/dev/null || true
  fi
  if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
    if [ -n "$2" ] && systemctl --quiet is-active naru.service; then
      # The new process takes the old one's place without a gap; where it cannot start, the old one goes on.
      deb-systemd-invoke reload naru.service >/dev/null || true
    else
      deb-systemd-invoke start naru.service >/dev/null || true
    fi
  fi
fi
`,
  prerm: `#!/bin/sh
set -e
# An upgrade hands over once the new program is there; whoever removes it wants all undone.
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  deb-systemd-invoke stop naru.service >/dev/null || true
fi
`,
  postrm: `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = purge ]; then
  if command -v deb-systemd-helper >/dev/null; then
    deb-systemd-helper purge naru.service >/dev/null || true
    deb-systemd-helper unmask naru.service >/dev/null || true
  fi
  rm -rf /var/lib/naru
  rmdir --ignore-fail-on-non-empty /etc/naru 2>/dev/null || true
fi
`,
}
