/**
 * The smallest guest that is a real one: Debian's cloud kernel and a busybox that serves a page. Made once from
 * Debian's packages (linux-image-cloud-amd64 through `apt-get download`, busybox-static) and kept in `.cache/`.
 */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { findCommand } from '../needs.ts'

export interface GuestImage {
  readonly kernel: string
  readonly initramfs: string
}

/** In the order they are loaded. */
const modules = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'failover',
  'net_failover',
  'virtio_net',
]

/** Raise it when the guest's own files change: an older cache is then not used. */
const edition = 2
const cache = join(import.meta.dirname, '../../.cache')

/** Takes about 3 s the first time, nothing afterwards. Two builders side by side do no harm: the last one wins. */
export function guestImage(): GuestImage {
  const folder = join(cache, `guest-${edition}`)
  if (!existsSync(folder)) build(folder)
  return { kernel: join(folder, 'vmlinuz'), initramfs: join(folder, 'initramfs.gz') }
}

function build(folder: string): void {
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'making-'))
  try {
    const kernelPackage = fetchKernelPackage(work)
    const ready = join(work, 'ready')
    mkdirSync(ready)
    run('sh', [
      '-c',
      'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" ./boot ./lib/modules',
      'sh',
      kernelPackage,
      work,
    ])
    renameSync(find(join(work, 'boot'), /^vmlinuz-/), join(ready, 'vmlinuz'))
    writeFileSync(join(ready, 'initramfs.gz'), gzipSync(archive(guestFiles(work)), { level: 1 }))
    renameReady(ready, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function renameReady(ready: string, folder: string): void {
  try {
    renameSync(ready, folder)
  } catch (error) {
    // Somebody else was faster with the same files.
    if (!existsSync(folder)) throw error
  }
}

/** The package name carries the kernel's version; the empty package `linux-image-cloud-amd64` knows it. */
function fetchKernelPackage(work: string): string {
  const depends = run('apt-cache', ['depends', 'linux-image-cloud-amd64'])
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1]
  if (!name) throw new Error('apt knows no linux-image-cloud-amd64; run apt-get update')
  // Root's apt would otherwise warn that its helper user cannot write here.
  run('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', '-q', name], work)
  return find(work, /^linux-image-.*\.deb$/)
}

function guestFiles(work: string): readonly ArchiveFile[] {
  const busybox = findCommand('busybox')
  if (!busybox) throw new Error('the guest needs busybox-static')
  const files: ArchiveFile[] = [
    { path: 'init', mode: 0o100755, data: Buffer.from(init) },
    { path: 'lease', mode: 0o100755, data: Buffer.from(lease) },
    { path: 'bin/busybox', mode: 0o100755, data: readFileSync(busybox) },
  ]
  for (const module of modules) {
    const file = find(join(work, 'lib/modules'), new RegExp(`(^|/)${module}\\.ko$`))
    files.push({ path: `modules/${basename(file)}`, mode: 0o100644, data: readFileSync(file) })
  }
  const folders = ['bin', 'proc', 'sys', 'dev', 'modules', 'www']
  return [...folders.map((path) => ({ path, mode: 0o040755, data: Buffer.alloc(0) })), ...files]
}

/**
 * The guest's whole life: modules, one address from the kernel's command line or by DHCP, a page on 80 that names the guest,
 * and echo on TCP port 7. Debian's busybox has no UDP server to offer.
 */
const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
of() { sed -n "s/.*naru\\.$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline; }
for module in ${modules.join(' ')}; do insmod /modules/$module.ko; done
hostname "$(of name)"
ip link set lo up
ip link set eth0 up
address=$(of address)
if [ "$address" = dhcp ]; then udhcpc -i eth0 -q -n -t 20 -T 1 -s /lease; else ip address add "$address" dev eth0; fi
gateway=$(of gateway)
[ -z "$gateway" ] || ip route add default via "$gateway"
echo "hello from $(of name)" > /www/index.html
httpd -p 80 -h /www
nc -ll -p 7 -e cat &
# Lets a bridge learn where this guest is before anybody asks.
[ -z "$gateway" ] || ping -c 1 -W 1 "$gateway" > /dev/null 2>&1
echo "naru guest ready"
while true; do sleep 3600; done
`

/** What udhcpc(8) runs with what it got. */
const lease = `#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
[ -z "$router" ] || ip route add default via "\${router%% *}"
`

interface ArchiveFile {
  readonly path: string
  readonly mode: number
  readonly data: Buffer
}

/** The kernel's initramfs format: cpio "newc", see Documentation/driver-api/early-userspace/buffer-format.rst. */
function archive(files: readonly ArchiveFile[]): Buffer {
  const end = { path: 'TRAILER!!!', mode: 0, data: Buffer.alloc(0) }
  return Buffer.concat(
    [...files, end].flatMap(({ path, mode, data }, inode) => {
      const name = Buffer.from(`${path}\0`)
      const fields = [inode + 1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0]
      const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`
      return [Buffer.from(header), name, padding(header.length + name.length), data, padding(data.length)]
    }),
  )
}

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4)
}

function find(folder: string, name: RegExp): string {
  const found = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((path) => name.test(path))
  if (!found) throw new Error(`nothing in ${folder} is named ${name.source}`)
  return join(folder, found)
}

function run(command: string, args: readonly string[], cwd?: string): string {
  return execFileSync(command, args, {
    encoding: 'utf8',
    timeout: 120_000,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd && { cwd }),
  })
}
