/**
 * A real Podman in a cell: as root, or as a user of the cell's own who has subordinate ids and nothing else. Debian's
 * crun refuses cgroups v1 beside v2, so runc runs the containers; they leave the limits as they are (CAP_SYS_RESOURCE).
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { Needs } from '../needs.ts'
import { Cell } from './cell.ts'
import { containerImage, serving } from './container-image.ts'
import type { LabHost } from './namespaces.ts'

export const podmanNeeds: Needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'nsenter', 'unshare', 'podman', 'runc', 'busybox', 'curl'],
  files: ['/usr/lib/podman/netavark'],
}
export const rootlessNeeds: Needs = {
  ...podmanNeeds,
  commands: [...(podmanNeeds.commands ?? []), 'slirp4netns', 'newuidmap', 'setpriv'],
}

const settings = `
mkdir "$1/home"
cat > "$1/storage.conf" <<X
[storage]
driver = "vfs"
graphroot = "$1/home/data"
runroot = "$1/home/run"
X
cat > "$1/containers.conf" <<X
[engine]
runtime = "$(command -v runc || echo /usr/sbin/runc)"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "$1/home/networks"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
X
export CONTAINERS_STORAGE_CONF="$1/storage.conf" CONTAINERS_CONF="$1/containers.conf"
`

/** The user's number is the cell's own: no file of the machine names it. */
const user = 60_123
const userOfItsOwn = `
for file in passwd group subuid subgid; do cp "/etc/$file" "$1/$file"; done
echo "narulab:x:${user}:${user}::$1/home:/bin/sh" >> "$1/passwd"
echo "narulab:x:${user}:" >> "$1/group"
for file in subuid subgid; do echo "narulab:700000:65536" >> "$1/$file"; done
for file in passwd group subuid subgid; do mount --bind "$1/$file" "/etc/$file"; done
mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200
mkdir -p /run/user/${user}/podman
ln -s "$1/home/podman.sock" /run/user/${user}/podman/podman.sock
chown -R ${user}:${user} "$1/home" /run/user/${user}
chmod 700 /run/user/${user}
export HOME="$1/home" XDG_RUNTIME_DIR=/run/user/${user}
`

const asUser = ['setpriv', '--reuid', String(user), '--regid', String(user), '--init-groups']

export class LabPodman implements AsyncDisposable {
  readonly #cell: Cell
  readonly url: string

  private constructor(cell: Cell) {
    this.#cell = cell
    this.url = `unix://${join(cell.folder, 'home/podman.sock')}`
  }

  static async start(host: LabHost, who: 'root' | 'user'): Promise<LabPodman> {
    const serve = 'podman system service --time 0 "unix://$1/home/podman.sock"'
    const script =
      who === 'root'
        ? `${settings}exec ${serve}`
        : `${settings}${userOfItsOwn}exec ${asUser.join(' ')} ${serve}`
    const here = new LabPodman(new Cell(host, script))
    try {
      const image = containerImage(here.#cell.folder)
      await here.#cell.until('podman', () => here.podman('version'))
      here.podman('import', image, 'localhost/naru-lab:1')
      return here
    } catch (error) {
      await here[Symbol.asyncDispose]()
      throw error
    }
  }

  podman(...args: readonly string[]): string {
    return execFileSync('podman', ['--remote', '--url', this.url, ...args], {
      encoding: 'utf8',
      timeout: 30_000,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOME: this.#cell.folder },
    }).trim()
  }

  /** Starts a container that serves a page with its name. */
  run(name: string, options: readonly string[] = [], port = 80): void {
    this.podman('run', '-d', '--name', name, ...options, 'localhost/naru-lab:1', ...serving(name, port))
  }

  /** A command as the rootless user, with what a service has of an environment: a home and a PATH. */
  asUser(...argv: readonly string[]): string {
    const env = [
      'env',
      '-i',
      `HOME=${join(this.#cell.folder, 'home')}`,
      `PATH=${process.env.PATH ?? ''}`,
      'LANG=C',
    ]
    return this.#cell.run([...asUser, ...env, ...argv])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cell[Symbol.asyncDispose]()
  }
}
