// An RPM around one file, for Fedora, RHEL and openSUSE: what the Debian package brings, with their places and habits. rpmbuild
// puts it together.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { configFiles, putLinuxFiles } from './linux-files.mjs'
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
export async function rpm({ target, program, licences, file, version, maintainer, seconds }) {
  const folder = mkdtempSync(join(tmpdir(), 'naru-rpm-'))
  try {
    const files = join(folder, 'files')
    mkdirSync(files)
    const places = { units: 'usr/lib/systemd/system', zsh: 'usr/share/zsh/site-functions' }
    await putLinuxFiles(files, { program, licences, version, seconds, places })
    const written = join(folder, 'naru.spec')
    writeFileSync(written, spec({ version, maintainer, seconds, files: listed(files) }))
    const architecture = architectures[target].rpm
    const settings = { ...fixed(seconds), _topdir: folder, _sourcedir: folder }
    execFileSync(
      'rpmbuild',
      [
        '-bb',
        '--target',
        architecture,
        '--quiet',
        ...Object.entries(settings).flatMap(([name, value]) => ['--define', `${name} ${value}`]),
        written,
      ],
      { env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds), LC_ALL: 'C' }, stdio: ['ignore', 2, 2] },
    )
    const made = join(folder, 'RPMS', architecture)
    copyFileSync(join(made, readdirSync(made)[0]), file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What would differ from one machine, or one minute, to the next; and what would change the program or look into it. */
const fixed = (seconds) => ({
  _buildhost: 'localhost',
  source_date_epoch_from_changelog: 0,
  use_source_date_epoch_as_buildtime: 1,
  clamp_mtime_to_source_date_epoch: 1,
  build_mtime_policy: 'clamp_to_source_date_epoch',
  _binary_payload: 'w1.xzdio',
  __os_install_post: '%{nil}',
  debug_package: '%{nil}',
  _build_id_links: 'none',
  naru_seconds: seconds,
})

/** Every file as `%files` has it, with its attributes. */
function listed(folder) {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length))
  return paths
    .toSorted()
    .map((path) => {
      if (configFiles.includes(path)) return `%config(noreplace) %attr(644,root,root) ${path}`
      if (path.startsWith('/usr/share/doc/')) return `%doc %attr(644,root,root) ${path}`
      return `%attr(${path === '/usr/bin/naru' ? 755 : 644},root,root) ${path}`
    })
    .join('\n')
}

const spec = ({ version, maintainer, seconds, files }) => `Name: naru
Version: ${version.replaceAll('-', '~')}
Release: 1
Summary: Port forwarding through router, firewall, relay and guest
License: Apache-2.0
Packager: ${maintainer}
AutoReqProv: no
Requires: libc.so.6(GLIBC_2.28)(64bit), libgcc_s.so.1()(64bit), libstdc++.so.6(GLIBCXX_3.4.25)(64bit)
Recommends: nftables, iproute, conntrack-tools

%description
One command publishes a service through every hop between an outside
client and the service, and says which hop is broken when one is. Naru
opens router mappings, firewall rules, a relay and a virtual machine's
forwards, keeps them open, and takes everything away again.

%install
cp -a %{_sourcedir}/files/. %{buildroot}/
find %{buildroot} -exec touch -h -d @%{naru_seconds} {} +

%post
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null 2>&1 || :
  if [ "$1" -gt 1 ] && systemctl --quiet is-active naru.service; then
    # The new process takes the old one's place without a gap; where it cannot start, the old one goes on.
    systemctl reload naru.service >/dev/null 2>&1 || :
  fi
fi
if [ "$1" -eq 1 ]; then
  systemctl --quiet preset naru.service >/dev/null 2>&1 || :
fi

%preun
# Whoever removes it wants all undone; an upgrade hands over once the new program is there.
if [ "$1" -eq 0 ]; then
  if [ -d /run/systemd/system ]; then
    systemctl --quiet disable --now naru.service >/dev/null 2>&1 || :
  else
    systemctl --quiet --no-reload disable naru.service >/dev/null 2>&1 || :
  fi
fi

%postun
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null 2>&1 || :
fi

%files
${files}
%dir /etc/naru
%dir /usr/share/doc/naru

%changelog
* ${day(seconds)} ${maintainer} - ${version.replaceAll('-', '~')}-1
- What changed is in /usr/share/doc/naru/CHANGELOG.md.gz.
`

/** `Mon Nov 30 2026`, as rpm has it. */
function day(seconds) {
  const [weekday, date, month, year] = new Date(seconds * 1000).toUTCString().replace(',', '').split(' ')
  return `${weekday} ${month} ${date} ${year}`
}
