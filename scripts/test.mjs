// `npm test`: installs what the tests need, builds, checks the house, runs everything, and ends with
// `N passed, N failed` alone on its last line. `npm test -- PATTERN …` runs only the test files that match.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, house } from './check.mjs'
import { installDependencies } from './install.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)
const only = process.argv.slice(2)

/** The peers that the tests talk to, as Debian packages, each with a file it brings. */
const packages = {
  iproute2: '/usr/sbin/ip',
  nftables: '/usr/sbin/nft',
  iptables: '/usr/sbin/iptables',
  'miniupnpd-nftables': '/usr/sbin/miniupnpd',
  miniupnpc: '/usr/bin/upnpc',
  natpmpc: '/usr/bin/natpmpc',
  coturn: '/usr/bin/turnserver',
  conntrack: '/usr/sbin/conntrack',
  ethtool: '/usr/sbin/ethtool',
  'qemu-system-x86': '/usr/bin/qemu-system-x86_64',
  'busybox-static': '/bin/busybox',
  haproxy: '/usr/sbin/haproxy',
  nginx: '/usr/sbin/nginx',
  'libnginx-mod-stream': '/usr/lib/nginx/modules/ngx_stream_module.so',
  socat: '/usr/bin/socat',
  rinetd: '/usr/sbin/rinetd',
  'docker-compose': '/usr/bin/docker-compose',
  ufw: '/usr/sbin/ufw',
  firewalld: '/usr/bin/firewall-cmd',
  'dnsmasq-base': '/usr/sbin/dnsmasq',
  'bind9-dnsutils': '/usr/bin/dig',
  curl: '/usr/bin/curl',
  wine: '/usr/bin/wine',
  chromium: '/usr/bin/chromium',
  strace: '/usr/bin/strace',
  lsof: '/usr/bin/lsof',
  dbus: '/usr/bin/dbus-daemon',
  systemd: '/lib/systemd/systemd',
  'iputils-ping': '/bin/ping',
  python3: '/usr/bin/python3',
  'docker.io': '/usr/sbin/dockerd',
  podman: '/usr/bin/podman',
  runc: '/usr/sbin/runc',
  netavark: '/usr/lib/podman/netavark',
  slirp4netns: '/usr/bin/slirp4netns',
  uidmap: '/usr/bin/newuidmap',
  'libvirt-daemon': '/usr/sbin/libvirtd',
  'libvirt-daemon-driver-qemu': '/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so',
  'libvirt-clients': '/usr/bin/virsh',
  rpm: '/usr/bin/rpmbuild',
  zsh: '/bin/zsh',
  fish: '/usr/bin/fish',
}

let passed = 0
let failed = 0

installDependencies()
installPeers()
count(build())
if (only.length === 0) count(house())
runTests()
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

/** Adds what a list of checks came to. */
function count(outcomes) {
  passed += outcomes.filter(Boolean).length
  failed += outcomes.filter((passes) => !passes).length
}

function runTests() {
  const folder = mkdtempSync(join(tmpdir(), 'naru-test-'))
  const report = join(folder, 'report.json')
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...only]
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), ...args], {
    stdio: 'inherit',
  })
  if (existsSync(report)) {
    const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(
      readFileSync(report, 'utf8'),
    )
    for (const line of testResults.flatMap(failures)) console.log(line)
    passed += numPassedTests
    failed += numFailedTests
    if (numPendingTests > 0) console.log(`${numPendingTests} skipped, each named above with its reason`)
    // A file that does not even load fails without a failed test.
    if (status !== 0 && numFailedTests === 0) failed++
  } else failed++
  rmSync(folder, { recursive: true, force: true })
}

/** A line for each test that failed, behind all the traces: what is read first of a long log is its end. */
function failures({ name, assertionResults }) {
  const file = relative(root, name)
  return assertionResults
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages }) => {
      const why = (failureMessages[0] ?? '').split('\n')[0].slice(0, 200)
      return `failed: ${file}: ${fullName}: ${why}`
    })
}

/** Root on Debian installs the peers; anybody else runs without, and the tests that need them say so. */
function installPeers() {
  const missing = Object.keys(packages).filter((name) => !existsSync(packages[name]))
  if (missing.length === 0 || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return
  console.error(`installing test peers: ${missing.join(' ')}`)
  const apt = (...args) =>
    spawnSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  withoutStartingServices(() => {
    apt('update')
    apt('install', '-y', '--no-install-recommends', ...missing)
  })
}

/** A package that is only wanted for its program must not open a port: policy-rc.d(5), Debian policy §9.3.3.1. */
function withoutStartingServices(install) {
  const policy = '/usr/sbin/policy-rc.d'
  const ours = !existsSync(policy)
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    install()
  } finally {
    if (ours) rmSync(policy, { force: true })
  }
}
