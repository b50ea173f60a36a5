import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ownFile, ownText, programWords } from './own-files.ts'

const started = {
  execPath: '/usr/bin/node',
  execArgv: ['--max-old-space-size=64'],
  argv: ['/usr/bin/node', '/opt/naru/dist/main.js', 'up', '--background'],
}

it('a script is started again by node with its options', () => {
  expect(programWords(started)).toEqual([
    '/usr/bin/node',
    '--max-old-space-size=64',
    '/opt/naru/dist/main.js',
  ])
})

it('one file is started again by itself, however it was typed', () => {
  const argv = ['/usr/bin/naru', './naru', 'up']
  expect(programWords({ execPath: '/usr/bin/naru', execArgv: [], argv }, true)).toEqual(['/usr/bin/naru'])
})

it('files come from the package, and those that are not there are an error', () => {
  expect(ownText('package.json')).toBe(readFileSync('package.json', 'utf8'))
  expect(() => ownFile('no-such-file')).toThrow('no-such-file')
})

it('every thread is begun by ownThread, which finds its code in one file, too', () => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).map((name) => join('src', name))
  const begins = files.filter(
    (file) => /(?<!\.test)\.ts$/.test(file) && /new Worker\((?!data\))/.test(readFileSync(file, 'utf8')),
  )
  expect(begins).toEqual([join('src', 'base', 'own-thread.ts')])
})
