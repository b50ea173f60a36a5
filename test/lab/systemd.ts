/**
 * A real systemd as the first process of namespaces of its own, on the network of a host of the lab. It sees this
 * machine's files under an overlay, so that whatever it or its services write is gone with it, and starts nothing but
 * what a test asks for. Needs overlayfs and cgroup v2, beside v1 or alone.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Needs } from '../needs.ts'
import { end, type LabHost } from './namespaces.ts'

const root = join(import.meta.dirname, '../..')

/** What `startSystemd` needs of the machine, for `describeWith`. */
export const systemdNeeds: Needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'unshare', 'nsenter', 'mount', 'systemctl', 'systemd-analyze'],
  files: ['/lib/systemd/systemd'],
}

/**
 * Runs as the first process of the new namespaces. The machine's own services (networks, timers, filters) are left out:
 * no target wants anything but the journal.
 */
const boot = `
mount --make-rprivate /
mount -t tmpfs tmpfs "$1" && mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
chmod 1777 tmp
mkdir dev/pts dev/shm dev/mqueue dev/hugepages
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts && ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
for device in null zero full random urandom tty; do touch "dev/$device" && mount --bind "/dev/$device" "dev/$device"; done
rm -rf lib/systemd/system/*.wants etc/systemd/system/*.wants
mkdir lib/systemd/system/sockets.target.wants
ln -s ../systemd-journald.socket lib/systemd/system/sockets.target.wants/
echo 00000000000000000000000000000001 > etc/machine-id
mkdir -p ".$2" && mount --rbind "$2" ".$2"
mkdir -p before && pivot_root . before && umount -l before
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target
`

/** Resolves when systemd takes commands. */
export async function startSystemd(host: LabHost): Promise<LabSystemd> {
  const folder = mkdtempSync(join(tmpdir(), 'naru-lab-systemd-'))
  const group = join(controlGroups(), basename(folder))
  mkdirSync(group)
  const namespaces = ['--mount', '--pid', '--ipc', '--uts', '--cgroup']
  const unshare = ['unshare', ...namespaces, '--fork', '--kill-child', 'sh', '-ec', boot, 'sh', folder, root]
  // Not `ip netns exec`, which hides the control groups.
  const enter = ['nsenter', `--net=/run/netns/${host.namespace}`, ...unshare]
  const child = spawn('sh', ['-ec', 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"', 'sh', group, ...enter], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const systemd = new LabSystemd(child, folder, group)
  try {
    await systemd.ready()
    return systemd
  } catch (error) {
    await systemd[Symbol.asyncDispose]()
    throw error
  }
}

export class LabSystemd implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #group: string
  #complaints = ''

  constructor(child: ChildProcess, folder: string, group: string) {
    this.#child = child
    this.#folder = folder
    this.#group = group
    child.stderr?.on('data', (text: Buffer) => (this.#complaints += text.toString()))
  }

  /** Words that take a command to where its services are. */
  get through(): readonly string[] {
    const namespaces = ['--mount', '--pid', '--net', '--ipc', '--uts', '--cgroup']
    return ['nsenter', '--target', String(this.#first()), ...namespaces, '--']
  }

  /** Runs a command there. @returns its standard output. @throws where it fails or takes over 60 s */
  run(argv: readonly string[], input = ''): string {
    const [command = '', ...args] = [...this.through, ...argv]
    return execFileSync(command, args, {
      encoding: 'utf8',
      timeout: 60_000,
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, LANG: 'C' },
    })
  }

  /** A property of a unit, such as `MainPID`. */
  property(unit: string, name: string): string {
    return this.run(['systemctl', 'show', '--value', '-p', name, unit]).trim()
  }

  async ready(): Promise<void> {
    const began = performance.now()
    for (;;) {
      try {
        this.run(['systemctl', 'is-active', 'basic.target'])
        return
      } catch (error) {
        if (this.#child.exitCode !== null || performance.now() - began > 60_000)
          throw new Error(`systemd did not come up: ${this.#complaints}`, { cause: error })
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }

  /** Ends it and every service at once, as pulling the plug would. */
  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child)
    await removeGroup(this.#group)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** The process that its namespaces are entered by: the child of `unshare`. */
  #first(): number {
    const { pid } = this.#child
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    if (children.trim() === '') throw new Error('systemd is not there yet')
    return Number(children.split(' ')[0])
  }
}

/** Where cgroup v2 is mounted: alone, or beside v1. */
function controlGroups(): string {
  const place = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find((path) =>
    existsSync(join(path, 'cgroup.controllers')),
  )
  if (!place) throw new Error('there is no cgroup v2 here')
  return place
}

/** From the leaves up. The kernel takes a moment to see that the last process is gone. */
async function removeGroup(group: string): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    try {
      const folders = readdirSync(group, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name))
      for (const folder of [...folders.sort().reverse(), group]) rmdirSync(folder)
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
