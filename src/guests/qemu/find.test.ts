import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findQemu, parseArguments } from './find.ts'

describe('a QEMU’s arguments', () => {
  const parsed = (line: string): ReturnType<typeof parseArguments> => parseArguments(line.split(' '))

  it('tell its name and its QMP socket', () => {
    expect(
      parsed('qemu-system-x86_64 -name web -m 512 -qmp unix:/run/web.qmp,server=on,wait=off -nographic'),
    ).toMatchObject({ name: 'web', qmp: '/run/web.qmp' })
    expect(
      parsed('qemu-system-x86_64 --name guest=web,debug-threads=on --qmp unix:q.sock,server,nowait'),
    ).toMatchObject({ name: 'web', qmp: 'q.sock' })
  })

  it('tell the socket of a control monitor, and not of a human one', () => {
    const chardev = 'qemu-kvm -chardev socket,id=mon0,path=/run/a.qmp,server=on,wait=off'
    expect(parsed(`${chardev} -mon chardev=mon0,mode=control`).qmp).toBe('/run/a.qmp')
    expect(parsed(`${chardev} -mon chardev=mon0,mode=readline`).qmp).toBeNull()
  })

  it('leave a guest of libvirt’s to libvirt, unless it has another socket; and a socket over TCP alone', () => {
    expect(
      parsed(
        'kvm -name guest=vm -chardev socket,id=charmonitor,fd=22,server=on,wait=off -mon chardev=charmonitor,mode=control',
      ),
    ).toEqual({ name: 'vm', qmp: null, libvirts: true })
    const ofLibvirt = 'kvm -name guest=vm -chardev socket,id=charmonitor,path=/var/lib/libvirt/qemu/m.sock'
    expect(parsed(`${ofLibvirt} -mon chardev=charmonitor,mode=control`)).toMatchObject({ libvirts: true })
    expect(parsed(`${ofLibvirt} -qmp unix:/run/vm.qmp`)).toEqual({
      name: 'vm',
      qmp: '/run/vm.qmp',
      libvirts: false,
    })
    expect(parsed('kvm -qmp tcp:127.0.0.1:4444,server').qmp).toBeNull()
  })

  it('may hold a doubled comma, and end where they should not', () => {
    expect(parsed('kvm -name guest=a,,b -qmp').name).toBe('a,b')
  })
})

describe('the QEMUs of a machine', () => {
  let proc: string
  beforeEach(() => void (proc = mkdtempSync(join(tmpdir(), 'naru-proc-'))))
  afterEach(() => rmSync(proc, { recursive: true, force: true }))

  const me = globalThis.process.getuid?.() ?? 0
  function process(
    pid: number,
    line: string,
    { namespace = 'net:[1]', users = [me, me, me, me], exe = '/usr/bin/qemu-system-x86_64' } = {},
  ): void {
    mkdirSync(join(proc, `${pid}/ns`), { recursive: true })
    writeFileSync(join(proc, `${pid}/cmdline`), `${line.replaceAll(' ', '\0')}\0`)
    symlinkSync(namespace, join(proc, `${pid}/ns/net`))
    writeFileSync(join(proc, `${pid}/status`), `Name:\tx\nUid:\t${users.join('\t')}\n`)
    symlinkSync(exe, join(proc, `${pid}/exe`))
    symlinkSync('/home/me/vms', join(proc, `${pid}/cwd`))
  }

  it('are those of our own network namespace, with sockets beside where they were started', async () => {
    process(10, '/usr/bin/qemu-system-x86_64 -name web -qmp unix:web.qmp,server=on')
    process(11, 'qemu-system-aarch64 -name elsewhere -qmp unix:/x.qmp', { namespace: 'net:[2]' })
    process(12, 'vim qemu-system-x86_64 -name web')
    process(13, 'qemu-system-x86_64 -m 64')
    expect(await findQemu({ proc, namespace: 'net:[1]', sockets: '' })).toEqual({
      guests: [
        { name: 'web', id: '10', qmp: '/home/me/vms/web.qmp' },
        { name: 'pid-13', id: '13', qmp: null },
      ],
      others: 0,
    })
  })

  it('are no one else’s, whatever he calls his process and however he hides it', async () => {
    const someone = 65_533
    process(10, 'qemu-system-x86_64 -name web -qmp unix:/run/a', {
      users: [someone, someone, someone, someone],
    })
    process(11, 'qemu-system-x86_64 -name web -qmp unix:/run/b', { users: [someone, me, me, me] })
    process(12, 'qemu-system-x86_64 -name web -qmp unix:/run/c', { exe: '/usr/bin/python3.11' })
    process(13, 'qemu-system-x86_64 -name web -qmp unix:/run/d')
    rmSync(join(proc, '13/status'))
    expect(await findQemu({ proc, namespace: 'net:[1]', sockets: '' })).toEqual({ guests: [], others: 4 })
  })

  it('are not spoken to by a socket that somebody else could replace', async () => {
    const open = join(proc, 'open')
    mkdirSync(open)
    chmodSync(open, 0o777)
    process(10, `kvm -name web -qmp unix:${open}/web.qmp`)
    const { guests } = await findQemu({ proc, namespace: 'net:[1]', sockets: '' })
    expect(guests).toEqual([{ name: 'web', id: '10', qmp: null }])
  })

  it('are also those whose sockets are named, each once', async () => {
    process(10, 'qemu-system-x86_64 -name web -qmp unix:/run/web.qmp')
    for (const name of ['b.qmp', 'a.qmp', 'notes.txt']) writeFileSync(join(proc, name), '')
    const sockets = `/run/web.qmp:${proc}/*.qmp`
    const { guests } = await findQemu({ proc, namespace: 'net:[1]', sockets })
    expect(guests.map(({ qmp }) => qmp)).toEqual(['/run/web.qmp', `${proc}/a.qmp`, `${proc}/b.qmp`])
  })
})
