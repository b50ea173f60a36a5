/**
 * Lets a test be inside a host of the lab: the test's own thread enters that network namespace by setns(2), so that
 * every socket it opens, every command it starts and every look at its interfaces is that host's. Sockets stay
 * where they were opened. This is the way code under test acts from within the lab: nothing is built or bundled for it.
 */
import { closeSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { LabHost } from './namespaces.ts'

const networkNamespace = 0x4000_0000 // CLONE_NEWNET

/** Enters until disposed: `using inside = enter(host)`. One at a time: a test file runs in its own process. */
export function enter(host: LabHost): Disposable {
  const home = openSync('/proc/thread-self/ns/net', 'r')
  const there = openSync(`/run/netns/${host.namespace}`, 'r')
  try {
    setNamespace(there)
  } finally {
    closeSync(there)
  }
  return {
    [Symbol.dispose]() {
      setNamespace(home)
      closeSync(home)
    },
  }
}

let setns: ((fd: number, kind: number) => number) | undefined

function setNamespace(fd: number): void {
  setns ??= loadSetns()
  if (setns(fd, networkNamespace) !== 0) throw new Error('setns failed: entering a namespace needs root')
}

function loadSetns(): (fd: number, kind: number) => number {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
  return koffi.load('libc.so.6').func('int setns(int, int)') as (fd: number, kind: number) => number
}
