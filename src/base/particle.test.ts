import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withBothParticles, withParticles } from './particle.ts'
import { say } from './text.ts'

const told = (word: string): string =>
  withParticles(
    `${word}{을/를} ${word}{이/가} ${word}{은/는} ${word}{과/와} ${word}{으로/로} ${word}{이라는/라는}`,
  )

test('a Korean word has the particle that its last syllable wants', () => {
  expect(told('규칙')).toBe('규칙을 규칙이 규칙은 규칙과 규칙으로 규칙이라는')
  expect(told('공유기')).toBe('공유기를 공유기가 공유기는 공유기와 공유기로 공유기라는')
  expect(told('커널')).toBe('커널을 커널이 커널은 커널과 커널로 커널이라는')
})

test('numbers and addresses are read digit by digit', () => {
  const roads = ['80', '8081', '443', '192.168.0.7', '10.0.0.4', '3389/tcp', 'fe80::2', '6']
  expect(roads.map((word) => withParticles(`${word}{으로/로}`))).toEqual([
    '80으로',
    '8081로',
    '443으로',
    '192.168.0.7로',
    '10.0.0.4로',
    '3389/tcp로',
    'fe80::2로',
    '6으로',
  ])
})

test('Latin letters are read as a word, and one by one in capitals', () => {
  const words = [
    'vmware',
    'kernel',
    'web',
    'socket',
    'iis',
    'VM',
    'URL',
    'UDP',
    'vmrun',
    'hello',
    'ssh',
    'NAT',
    'home',
    'TARGET',
    'NAME',
    'FILE',
    'rule',
    'check',
    'ip',
  ]
  expect(words.map((word) => withParticles(`${word}{을/를}`))).toEqual([
    'vmware를',
    'kernel을',
    'web을',
    'socket을',
    'iis를',
    'VM을',
    'URL을',
    'UDP를',
    'vmrun을',
    'hello를',
    'ssh를',
    'NAT를',
    'home을',
    'TARGET을',
    'NAME을',
    'FILE을',
    'rule을',
    'check를',
    'ip를',
  ])
})

test('quotes, brackets and other signs around a word are not read', () => {
  expect(withParticles('"2x"{이/가} `naru edit web`{을/를} nginx (pid 812){이/가} web(웹 서버){을/를}')).toBe(
    '"2x"가 `naru edit web`을 nginx (pid 812)가 web(웹 서버)을',
  )
})

test('every sentence for people is settled where it is made; in the docs both forms stand', () => {
  expect(say('', '8888{은/는} 열림').ko).toBe('8888은 열림')
  expect(withBothParticles('{name}{이라는/라는} 규칙{을/를} {to}{으로/로}')).toBe(
    '{name}(이)라는 규칙을(를) {to}(으)로',
  )
})

test('nobody leaves the choice to the reader', () => {
  const left = /[을은이과](?:\((?:를|는|가|와)\))|\((?:으|이)\)[로라]/
  const files = ['src', 'web/src'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.tsx?$/.test(name) && !name.endsWith('.test.ts') && !name.includes('particle'))
      .map((name) => join(folder, name)),
  )
  expect(files.filter((file) => left.test(readFileSync(file, 'utf8')))).toEqual([])
})
