// A container image, from nothing but the one file and what it calls (nft, conntrack, ip) with their libraries, out of
// Debian's packages. An archive that `docker load` and `podman load` take.
//   node packaging/image.mjs FILE
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { arch, argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { oneFile } from './one-file.mjs'
import { architectures, root } from './packages.mjs'

/** What Naru calls, and Node's own libraries; what they need comes with them. */
const packages = ['nftables', 'conntrack', 'iproute2', 'libc6', 'libgcc-s1', 'libstdc++6']
const programs = ['/usr/sbin/nft', '/usr/sbin/conntrack', '/bin/ip']
/** Loaded by name at run time: how glibc finds hosts and users. */
const plugins = ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2']

/** @param file where the archive goes. @param options.seconds since 1970, for every time in it. Needs a build, apt-get and dpkg-deb. */
export async function image(file, { seconds }) {
  const folder = mkdtempSync(join(tmpdir(), 'naru-image-'))
  try {
    const [debian, files] = ['debian', 'files'].map((name) => join(folder, name))
    for (const path of [debian, files]) mkdirSync(path)
    unpack(debian, folder)
    const naru = join(files, 'usr/bin/naru')
    mkdirSync(dirname(naru), { recursive: true })
    const licences = await oneFile(`linux-${arch}`, naru, { small: true })
    copyNeeded(debian, files, naru)
    furnish(files, licences)
    pack(files, { folder, file, seconds })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Debian's packages with all that they depend on, as this machine's apt has them. */
function unpack(debian, folder) {
  const listed = execFileSync(
    'apt-cache',
    [
      'depends',
      '--recurse',
      '--no-recommends',
      '--no-suggests',
      '--no-conflicts',
      '--no-breaks',
      '--no-replaces',
      '--no-enhances',
      ...packages,
    ],
    { encoding: 'utf8', maxBuffer: 1 << 26 },
  )
  const names = [...new Set(listed.split('\n').filter((line) => /^[a-z0-9]/.test(line)))]
  const fetched = join(folder, 'fetched')
  mkdirSync(fetched)
  // apt gives up its rights for a user of its own, who may not write here.
  const options = ['-q', '-o', 'APT::Sandbox::User=root']
  execFileSync('apt-get', [...options, 'download', ...names], {
    cwd: fetched,
    stdio: ['ignore', 'ignore', 2],
    timeout: 300_000,
  })
  for (const name of readdirSync(fetched).toSorted())
    execFileSync('dpkg-deb', ['--extract', join(fetched, name), debian])
}

/** The programs, and every library that the loader names for them and for Naru, each by its own path and its links. */
function copyNeeded(debian, files, naru) {
  const inside = join(debian, 'naru')
  copyFileSync(naru, inside)
  const loader = ['lib64/ld-linux-x86-64.so.2', 'lib/ld-linux-aarch64.so.1'].find((path) =>
    existsSync(join(debian, path)),
  )
  const needed = new Set([`/${loader}`, ...programs])
  for (const program of [...programs, '/naru'])
    for (const [, path] of listOf(debian, loader, program).matchAll(/(?:=> )?(\/\S+) \(0x/g)) needed.add(path)
  const libraries = dirname([...needed].find((path) => path.endsWith('/libc.so.6')))
  for (const name of plugins) needed.add(join(libraries, name))
  for (const path of needed) {
    const to = join(files, path)
    mkdirSync(dirname(to), { recursive: true })
    if (existsSync(join(debian, path))) copyFileSync(realpathSync(join(debian, path)), to)
    if (programs.includes(path)) chmodSync(to, 0o755)
  }
  const documents = join(debian, 'usr/share/doc')
  for (const name of readdirSync(documents)) {
    const [from, to] = [debian, files].map((of) => join(of, 'usr/share/doc', name, 'copyright'))
    if (!existsSync(from)) continue
    mkdirSync(dirname(to), { recursive: true })
    copyFileSync(realpathSync(from), to)
  }
}

function listOf(debian, loader, program) {
  return execFileSync('chroot', [debian, `/${loader}`, '--list', program], { encoding: 'utf8' })
}

function furnish(files, licences) {
  const put = (path, text) => {
    mkdirSync(join(files, dirname(path)), { recursive: true })
    writeFileSync(join(files, path), text, { mode: 0o644 })
  }
  put(
    'etc/passwd',
    'root:x:0:0:root:/root:/usr/sbin/nologin\nnaru:x:6278:6278::/var/lib/naru:/usr/sbin/nologin\n',
  )
  put('etc/group', 'root:x:0:\nnaru:x:6278:\n')
  put('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n')
  put('etc/naru/naru.yaml', 'rules: {}\n')
  put('usr/share/doc/naru/LICENSES.txt', licences)
  for (const [path, mode] of [
    ['root', 0o700],
    ['tmp', 0o1777],
    ['run', 0o755],
    ['var/lib/naru', 0o700],
  ]) {
    mkdirSync(join(files, path), { recursive: true })
    chmodSync(join(files, path), mode)
  }
  if (!existsSync(join(files, 'sbin'))) symlinkSync('usr/sbin', join(files, 'sbin'))
}

/** One layer, its configuration and the list that names both (Docker's image format 1.2; Podman reads it, too). */
function pack(files, { folder, file, seconds }) {
  const parts = join(folder, 'parts')
  mkdirSync(parts)
  tar(files, join(parts, 'layer.tar'), seconds)
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const config = JSON.stringify(configOf({ layer: sha256(join(parts, 'layer.tar')), version, seconds }))
  const id = createHash('sha256').update(config).digest('hex')
  writeFileSync(join(parts, `${id}.json`), config)
  const manifest = [
    { Config: `${id}.json`, RepoTags: [`naru:${version}`, 'naru:latest'], Layers: ['layer.tar'] },
  ]
  writeFileSync(join(parts, 'manifest.json'), JSON.stringify(manifest))
  const made = join(folder, basename(file))
  tar(parts, made, seconds)
  try {
    renameSync(made, file)
  } catch {
    // Another disk.
    copyFileSync(made, file)
  }
}

const configOf = ({ layer, version, seconds }) => ({
  architecture: architectures[`linux-${arch}`].deb,
  os: 'linux',
  created: new Date(seconds * 1000).toISOString(),
  config: {
    Entrypoint: ['/usr/bin/naru'],
    Cmd: ['up'],
    Env: [
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'NARU_CONFIG=/etc/naru/naru.yaml',
      'NARU_STATE=/var/lib/naru',
      // Whoever mounts the rules says that he trusts their writer.
      'NARU_TRUST_FILE=1',
      'LANG=C.UTF-8',
    ],
    // What is in force is told there: the next start undoes what a killed one left.
    Volumes: { '/var/lib/naru': {} },
    // Serves, as its daemon says; nanoseconds.
    Healthcheck: {
      Test: ['CMD', '/usr/bin/naru', 'status'],
      Interval: 30e9,
      Timeout: 10e9,
      StartPeriod: 5e9,
      Retries: 3,
    },
    // Everything is undone within 5 s of it.
    StopSignal: 'SIGTERM',
    Labels: {
      'org.opencontainers.image.title': 'naru',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
  },
  rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
  history: [{ created: new Date(seconds * 1000).toISOString(), created_by: 'packaging/image.mjs' }],
})

function tar(from, to, seconds) {
  execFileSync('tar', [
    '--sort=name',
    `--mtime=@${seconds}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--format=ustar',
    '-C',
    from,
    '-cf',
    to,
    ...readdirSync(from).toSorted(),
  ])
}

const sha256 = (file) => createHash('sha256').update(readFileSync(file)).digest('hex')

if (argv[1] === fileURLToPath(import.meta.url))
  await image(argv[2], { seconds: Number(process.env.SOURCE_DATE_EPOCH ?? 0) })
