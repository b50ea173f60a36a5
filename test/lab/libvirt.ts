/**
 * A real libvirtd in a cell, with a NAT network of its own and guests under QEMU without hardware help (TCG): the guest
 * of `guest-image.ts`, up in about ten seconds.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Needs } from '../needs.ts'
import { Cell } from './cell.ts'
import { guestImage } from './guest-image.ts'
import type { LabHost } from './namespaces.ts'

export const libvirtNeeds: Needs = {
  root: true,
  platform: 'linux',
  commands: [
    'ip',
    'nsenter',
    'unshare',
    'libvirtd',
    'virsh',
    'dnsmasq',
    'qemu-system-x86_64',
    'busybox',
    'curl',
    'apt-get',
    'dpkg-deb',
  ],
}

/** Nothing of the machine's own libvirt is read or written: QEMU is root's, without control groups. */
const script = `
for folder in /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
  mkdir -p "$folder" && mount -t tmpfs -o mode=755 tmpfs "$folder"
done
cat > /etc/libvirt/qemu.conf <<X
user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
X
cat > "$1/libvirtd.conf" <<X
unix_sock_dir = "$1"
auth_unix_rw = "none"
X
exec libvirtd --config "$1/libvirtd.conf" --pid-file "$1/libvirtd.pid"
`

const network = `<network><name>lab</name><forward mode='nat'/><bridge name='virbr0' delay='0'/>
<ip address='192.168.122.1' netmask='255.255.255.0'><dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip></network>`

export class LabLibvirt implements AsyncDisposable {
  readonly #cell: Cell
  readonly uri: string

  private constructor(cell: Cell) {
    this.#cell = cell
    this.uri = `qemu+unix:///system?socket=${join(cell.folder, 'libvirt-sock')}`
  }

  static async start(host: LabHost): Promise<LabLibvirt> {
    const here = new LabLibvirt(new Cell(host, script))
    try {
      await here.#cell.until('libvirtd', () => here.virsh('version'))
      here.#define('net-define', 'network', network)
      here.virsh('net-start', 'lab')
      return here
    } catch (error) {
      await here[Symbol.asyncDispose]()
      throw error
    }
  }

  virsh(...args: readonly string[]): string {
    return execFileSync('virsh', ['--quiet', '--connect', this.uri, ...args], {
      encoding: 'utf8',
      timeout: 30_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim()
  }

  /** Defines a guest with a page that names it, and starts it. It is not ready yet. */
  start(name: string, on: 'network' | 'user'): void {
    this.define(name, on)
    this.virsh('start', name)
  }

  define(name: string, on: 'network' | 'user'): void {
    const { kernel, initramfs } = guestImage()
    const address = on === 'network' ? 'naru.address=dhcp' : 'naru.address=10.0.2.15/24 naru.gateway=10.0.2.2'
    const command = `console=ttyS0 quiet panic=-1 no_timer_check naru.name=${name.replaceAll(' ', '-')} ${address}`
    const card = on === 'network' ? "type='network'><source network='lab'/>" : "type='user'>"
    this.#define(
      'define',
      'domain',
      `<domain type='qemu'><name>${name}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>${kernel}</kernel><initrd>${initramfs}</initrd><cmdline>${command}</cmdline></os>
<features><acpi/></features><on_reboot>destroy</on_reboot>
<devices><interface ${card}<model type='virtio'/><rom enabled='no'/></interface>
<serial type='file'><source path='${join(this.#cell.folder, 'console')}'/></serial><memballoon model='none'/></devices></domain>`,
    )
  }

  #define(verb: string, what: string, xml: string): void {
    const file = join(this.#cell.folder, `${what}.xml`)
    writeFileSync(file, xml)
    this.virsh(verb, file)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cell[Symbol.asyncDispose]()
  }
}
