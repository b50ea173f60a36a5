import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { findCommand } from '../../test/needs.ts'
import { shellScript } from './shell-scripts.ts'

describe.runIf(findCommand('bash'))('the script for bash, run by bash', () => {
  /** What is offered after `words`, where `naru` answers `answer`; the words it was asked come first. */
  function offered(words: readonly string[], answer: string): string[] {
    const program = `
      naru() { printf '%s|' "$@" >&2; printf '%b' "$ANSWER"; }
      exec 3>&1
      ${shellScript('bash').replace('2>/dev/null)', '2>&3)')}
      COMP_WORDS=(naru ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}
      _naru
      printf '\\n%s' "\${COMPREPLY[@]}"`
    const out = execFileSync('bash', ['--norc', '-c', program], {
      env: { ...process.env, ANSWER: answer },
      encoding: 'utf8',
    })
    return out.split('\n')
  }

  it('asks for the words so far and offers the answers without their descriptions', () => {
    expect(offered(['st'], 'status\\tall about\\nstop\\tstop it\\n:words\\n')).toEqual([
      'complete|--|st|',
      'status',
      'stop',
    ])
    expect(offered(['status', ''], 'iis\\t\\n:words\\n')).toEqual(['complete|--|status||', 'iis'])
  })

  it('lets bash complete files', () => {
    expect(offered(['check', 'package.js'], ':files\\n')).toEqual([
      'complete|--|check|package.js|',
      'package.json',
    ])
  })
})
