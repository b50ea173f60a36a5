/**
 * Which process something of ours in the kernel belongs to: its number and its start, so that a number that was given
 * out again is another owner.
 */
import { readFileSync, readlinkSync } from 'node:fs'

/** `812-349211`: pid and start time in clock ticks since boot. */
export function thisOwner(pid: number = process.pid): string {
  return `${pid}-${startOf(pid) ?? 0}`
}

export function ownerLives(owner: string): boolean {
  const [pid = '', start] = owner.split('-')
  return String(startOf(Number(pid)) ?? 'gone') === start
}

/** The number of the namespace that this process's number is of (pid_namespaces(7)): two containers on one network each have a process 1. */
export function pidNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
  } catch {
    return '0'
  }
}

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)); the name before it may hold spaces and brackets. */
function startOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  } catch {
    return null
  }
}
