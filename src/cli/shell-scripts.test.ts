import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeWith, findCommand } from '../../test/needs.ts'
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

/** A `naru` on PATH that notes what it was asked and answers as the real one would. */
class FakeNaru {
  readonly folder = mkdtempSync(join(tmpdir(), 'naru-shells-'))

  constructor() {
    const script = `#!/bin/sh
printf '%s|' "$@" >> "${this.folder}/asked"
printf '\\n' >> "${this.folder}/asked"
case "$3 $4" in
  'st ') printf 'status\\tall about a rule\\nstop\\tstop it\\n:words\\n' ;;
  'status ') printf 'web:1\\t\\niis\\t\\n:words\\n' ;;
  check*) printf ':files\\n' ;;
esac
`
    writeFileSync(join(this.folder, 'naru'), script)
    chmodSync(join(this.folder, 'naru'), 0o755)
    writeFileSync(join(this.folder, 'rules.yaml'), '')
  }

  run(argv: readonly [string, ...string[]], input = ''): string {
    const [command, ...args] = argv
    return execFileSync(command, args, {
      cwd: this.folder,
      env: { ...process.env, PATH: `${this.folder}:${process.env.PATH}`, HOME: this.folder, TERM: 'dumb' },
      encoding: 'utf8',
      timeout: 30_000,
      input,
    })
  }
}

describeWith({ commands: ['fish'] }, 'the script for fish, run by fish', () => {
  let fake: FakeNaru
  beforeAll(() => void (fake = new FakeNaru()))
  afterAll(() => rmSync(fake.folder, { recursive: true, force: true }))

  const offered = (line: string): string[] => {
    writeFileSync(join(fake.folder, 'naru.fish'), shellScript('fish'))
    return fake
      .run(['fish', '--no-config', '-c', `source naru.fish; complete --do-complete '${line}'`])
      .split('\n')
      .filter(Boolean)
  }

  it('offers words with their descriptions, and files where naru says so', () => {
    expect(offered('naru st')).toEqual(['status\tall about a rule', 'stop\tstop it'])
    expect(offered('naru status ')).toEqual(expect.arrayContaining(['web:1', 'iis']) as unknown)
    expect(offered('naru check ru')).toEqual(['rules.yaml'])
  })
})

/** Types a line and a Tab into an interactive zsh on a terminal of its own, and prints what comes until a needle does. */
const typist = `
import os, pty, select, sys, time
line, needle = (word.encode() for word in sys.argv[1:])
pid, terminal = pty.fork()
if pid == 0:
    os.execvp('zsh', ['zsh', '-f', '-i'])
def until(wanted):
    seen, end = b'', time.time() + 20
    while wanted not in seen and time.time() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 65536)
    return seen
os.write(terminal, b"PS1=''; autoload -Uz compinit; compinit -u -D; source ./naru.zsh; bindkey -e; print rea''dy\\n")
until(b'ready\\r\\n')
os.write(terminal, line + b'\\t')
sys.stdout.write(until(needle).decode(errors='replace'))
os.close(terminal)
os.waitpid(pid, 0)
`

describeWith({ commands: ['zsh', 'python3'] }, 'the script for zsh, run by zsh on a terminal', () => {
  let fake: FakeNaru
  beforeAll(() => void (fake = new FakeNaru()))
  afterAll(() => rmSync(fake.folder, { recursive: true, force: true }))

  const typed = (line: string, needle: string): string => {
    writeFileSync(join(fake.folder, 'naru.zsh'), shellScript('zsh'))
    return fake.run(['python3', '-c', typist, line, needle])
  }

  it('offers words with their descriptions, and files where naru says so', () => {
    const words = typed('naru st', 'stop it')
    expect(words).toMatch(/status +-- all about a rule/)
    expect(words).toMatch(/stop +-- stop it/)
    expect(typed('naru check ru', 'rules.yaml')).toContain('naru check rules.yaml')
  }, 60_000)
})
