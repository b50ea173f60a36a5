import { userInfo } from 'node:os'
import { expect, it } from 'vitest'
import { homeFolder } from './home.ts'

it.runIf(process.platform !== 'win32')('an empty or relative HOME is none', () => {
  expect(homeFolder({ HOME: '/' })).toBe('/')
  for (const HOME of ['', 'here', undefined]) expect(homeFolder({ HOME })).toBe(userInfo().homedir)
})
