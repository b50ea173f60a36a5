import { expect, it } from 'vitest'
import { programOnWindows } from './program.ts'

const there = (...files: string[]): ((path: string) => boolean) => {
  return (path) => files.some((file) => file.toLowerCase() === path.toLowerCase())
}
const env = { SystemRoot: 'C:\\Windows', Path: '.;relative;;C:\\Tools' }

it('is the system’s before one in PATH, and never one in the current folder', () => {
  const system = 'C:\\Windows\\System32\\netsh.exe'
  expect(programOnWindows('netsh', { env, exists: there(system, 'C:\\Tools\\netsh.exe') })).toBe(system)
  expect(
    programOnWindows('netsh', { env, exists: there('netsh.exe', '.\\netsh.exe', 'relative\\netsh.exe') }),
  ).toBeNull()
  expect(programOnWindows('vmrun.exe', { env, exists: there('C:\\Tools\\vmrun.exe') })).toBe(
    'C:\\Tools\\vmrun.exe',
  )
})

it('is taken at its word where it is a path', () => {
  expect(programOnWindows('D:\\x\\vmrun.exe', { env, exists: () => false })).toBe('D:\\x\\vmrun.exe')
})
