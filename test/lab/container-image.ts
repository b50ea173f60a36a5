/** The smallest image: busybox alone, from Debian's package. Nothing is pulled. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { findCommand } from '../needs.ts'

/** Makes a tar of its files in `folder`, for `docker import` and `podman import`. @returns its path */
export function containerImage(folder: string): string {
  const files = join(folder, 'image')
  for (const name of ['bin', 'www', 'proc', 'dev', 'sys', 'etc', 'tmp'])
    mkdirSync(join(files, name), { recursive: true })
  copyFileSync(findCommand('busybox') as string, join(files, 'bin/busybox'))
  for (const name of ['sh', 'httpd', 'sleep']) symlinkSync('busybox', join(files, 'bin', name))
  const tar = join(folder, 'image.tar')
  execFileSync('tar', ['-C', files, '-cf', tar, '.'])
  return tar
}

/** What a container runs: a page with its name, on that port. */
export function serving(name: string, port = 80): string[] {
  return ['/bin/sh', '-c', `echo ${name} > /www/index.html; exec httpd -f -p ${port} -h /www`]
}
