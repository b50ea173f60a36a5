import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RuleInput } from '../../model/naru-api.ts'
import { readDocument, type FileDocument } from './document.ts'

const open = (text: string): FileDocument => {
  const read = readDocument(text)
  if ('problems' in read) throw new Error(JSON.stringify(read.problems))
  return read.document
}
const problemsOf = (text: string): string[] => {
  const read = readDocument(text)
  return 'problems' in read
    ? read.problems.map(
        ({ place, path, text }) => `${place.line}:${place.column} ${path.join('.')} ${text.en}`,
      )
    : []
}

const withRule = (document: FileDocument, name: string, rule: RuleInput | null): string =>
  document.withRules(new Map([[name, rule]]))

const file = `# My forwards.

rules:
  # the web server
  iis:
    listen: 8888 # outside
    target: 192.168.79.128:80

    # only the LAN
    allow: [192.168.0.0/16]

  # to be removed
  old:
    listen: 1
    target: 2

  # last one
  dns: { listen: 53/udp, target: "10.0.0.1:53" }
# the end
`

describe('beside the rules', () => {
  it('stand names of this place and STUN servers', () => {
    const { names, stun } = open(
      'rules: {}\nnames: [home.example.org]\nstun: [stun.example.org, "[2001:db8::1]:19302", "192.0.2.1:3479"]\n',
    )
    expect(names).toEqual(['home.example.org'])
    expect(stun).toEqual([
      { host: 'stun.example.org', port: 3478 },
      { host: '2001:db8::1', port: 19_302 },
      { host: '192.0.2.1', port: 3479 },
    ])
    expect(open('rules: {}\n')).toMatchObject({ names: [], stun: [] })
  })

  it('what is wrong is named by line and column', () => {
    expect(problemsOf('names: home.example.org\nstun:\n  - "host:0"\n  - "a b"\n  - 7\n')).toEqual([
      '1:8 names names is a list of: a host name, such as home.example.org',
      '3:5 stun.0 each of stun is HOST or HOST:PORT, such as stun.example.org:3478',
      '4:5 stun.1 each of stun is HOST or HOST:PORT, such as stun.example.org:3478',
      '5:5 stun.2 each of stun is HOST or HOST:PORT, such as stun.example.org:3478',
    ])
  })
})

describe('editing the file', () => {
  it('touches only the lines of the rule, and keeps the comments inside it', () => {
    const { iis } = Object.fromEntries(open(file).rules) as { iis: RuleInput }
    expect(withRule(open(file), 'iis', { ...iis, listen: 9999, limits: { connections: 5 } })).toBe(
      file
        .replace('8888', '9999')
        .replace('allow: [192.168.0.0/16]\n', 'allow: [ 192.168.0.0/16 ]\n    limits: { connections: 5 }\n'),
    )
  })

  it('takes a rule out with the comment that sits on it', () => {
    expect(withRule(open(file), 'old', null)).toBe(
      file.replace('  # to be removed\n  old:\n    listen: 1\n    target: 2\n', ''),
    )
  })

  it('puts a new rule after the last one', () => {
    const text = withRule(open(file), 'ssh', {
      listen: 2222,
      target: '10.0.0.5:22',
      publish: { router: 'auto' },
    })
    expect(text).toContain(
      'target: "10.0.0.1:53" }\n  ssh:\n    listen: 2222\n    target: 10.0.0.5:22\n    publish: { router: auto }\n# the end\n',
    )
    expect(text.startsWith(file.slice(0, file.indexOf('  dns')))).toBe(true)
  })

  it('makes the first rule of an empty file, and leaves an empty map after the last', () => {
    for (const text of ['', '# hello\n', 'rules:\n', 'rules: {}\n', '# hello\nrules:\n  # none yet\n']) {
      const one = withRule(open(text), 'a', { listen: 1, target: 2 })
      expect(Object.fromEntries(open(one).rules)).toEqual({ a: { listen: 1, target: 2 } })
      if (text.includes('hello')) expect(one).toContain('# hello')
      expect(open(withRule(open(one), 'a', null)).rules.size).toBe(0)
    }
  })

  it('edits a file written as JSON', () => {
    const text = withRule(open('{"rules": {"a": {"listen": 1, "target": 2}}}'), 'b', { listen: 3, target: 4 })
    expect([...open(text).rules.keys()]).toEqual(['a', 'b'])
  })

  it('takes many edits at once as it takes them one by one, and leaves the rest as it is', () => {
    const edits = new Map<string, RuleInput | null>([
      ['ssh', { listen: 2222, target: 22 }],
      ['old', null],
      ['iis', { listen: 8889, target: '192.168.79.128:80', allow: ['192.168.0.0/16'] }],
      ['git', { listen: 9418, target: 9418 }],
    ])
    let text = file
    for (const [name, rule] of edits) text = withRule(open(text), name, rule)
    expect(open(file).withRules(edits)).toBe(text)
    expect(open(file).edited(edits)?.text).toBe(text)
    expect(text).toContain('    listen: 8889 # outside\n')
    expect(text).not.toContain('to be removed')
  })

  it('leaves no blank line of a rule whose last line had no end', () => {
    const start = open('rules:\n  a:\n    listen: 5\n    target: 6')
    const added = start.edited(new Map([['b', { listen: 1, target: 80 }]]))
    const text = 'rules:\n  b:\n    listen: 1\n    target: 80\n'
    expect(added?.edited(new Map([['a', null]]))?.text).toBe(text)
  })

  it('ends, after any edits, with what the edits say', () => {
    const rule = fc.record(
      {
        listen: fc.integer({ min: 1, max: 65_535 }),
        target: fc.constantFrom<string | number>(80, 'a b: c', '10.0.0.1:80', '#x', 'yes', '[::1]:80'),
        allow: fc.array(fc.constantFrom('10.0.0.0/8', '::1'), { maxLength: 3 }),
        publish: fc.record({ router: fc.constantFrom('auto', 'off') }),
      },
      { requiredKeys: ['listen', 'target'] },
    )
    const edit = fc.tuple(fc.constantFrom('a', 'b', 'iis', 'dns', 'x.y'), fc.option(rule))
    fc.assert(
      fc.property(
        fc.constantFrom(file, '', 'rules:\n    a:\n        listen: 5 # five\n        target: 6'),
        fc.array(fc.array(edit, { minLength: 1, maxLength: 3 }), { maxLength: 8 }),
        (start, together) => {
          let text: string = start
          // The same edits, of which each reads no more than its own lines.
          let quick = open(start)
          const expected = new Map<string, unknown>(open(start).rules)
          for (const edits of together.map((one) => new Map(one))) {
            text = open(text).withRules(edits)
            quick = quick.edited(edits) ?? open(quick.withRules(edits))
            expect(quick.text).toBe(text)
            for (const [name, to] of edits) {
              if (to === null) expected.delete(name)
              else expected.set(name, to)
            }
            expect([...quick.rules.keys()]).toEqual([...open(text).rules.keys()])
          }
          expect(Object.fromEntries(open(text).rules)).toEqual(Object.fromEntries(expected))
          expect(Object.fromEntries(quick.rules)).toEqual(Object.fromEntries(expected))
        },
      ),
      { numRuns: 80 },
    )
  })
})

describe('what is wrong with the file', () => {
  it('is said with its line and column, several at once', () => {
    expect(problemsOf('rulez:\n  a: 1\nsample: x\n')).toEqual([
      '1:1 rulez unknown key rulez; did you mean rules?',
      '3:9 sample sample is a port from 1 to 65535',
    ])
    expect(problemsOf('rules:\n  a: { listen: 1 }\n  a: { listen: 2 }\n')).toEqual([
      '3:3  this key stands here twice',
    ])
    expect(problemsOf('rules:\n  a:\n    limits: { maxRate: 1, maxRate: 2 }\n  1: {}\n  "1": {}\n')).toEqual([
      '3:27  this key stands here twice',
      '5:3  this key stands here twice',
    ])
    expect(problemsOf('rules: [\n')[0]).toMatch(/^2:1 /)
    expect(problemsOf('- 1\n')).toEqual(['1:1  the file is a map with the key rules'])
  })

  it('is found quickly in a bomb', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
      .split('')
      .map((key, index) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[index]}`).join(',')}]`)
      .join('\n')}\n`
    expect(problemsOf(bomb)[0]).toContain('aliases')
  })

  // Each level quotes the quotes of the one in it: thirty levels filled the memory.
  it.each([
    ['a map', `rules:\n  ${'{'.repeat(40)}a${'}'.repeat(40)}: 1\n`],
    ['a list', `rules:\n  ? ${'['.repeat(40)}${']'.repeat(40)}\n  : 1\n`],
    ['a map that is not closed', `rules:\n  web: ${'{'.repeat(40)}\n`],
    ['an alias', `stun: &a [x]\nrules:\n  ? *a\n  : 1\n`],
  ])('is a key that is %s', (_, text) => {
    expect(problemsOf(text)).toContainEqual(expect.stringContaining('a key is a word, not a map, a list'))
  })

  it('is told with its place where it is nested too deeply', () => {
    expect(problemsOf(`rules:\n  web: ${'['.repeat(50_000)}`)).toEqual([
      '2:70  it is nested too deeply here: the most is 64 levels of maps and lists',
    ])
  })
})

describe('a list in a rule', () => {
  const several = `rules:
  web:
    listen: 8888
    targets:
      # the old machine
      - { to: 10.0.0.2:80, weight: 2 } # twice as fast
      - 10.0.0.3:80 # in the cellar
      - to: 10.0.0.4:80
        # only when the others sleep
        backup: true
`
  const edit = (targets: unknown[]): string =>
    withRule(open(several), 'web', { listen: 8888, targets } as RuleInput)

  it('keeps the comments of items that stay, that change, and that move', () => {
    const [first, second, third] = [
      { to: '10.0.0.2:80', weight: 2 },
      '10.0.0.3:80',
      { to: '10.0.0.4:80', backup: true },
    ]
    expect(edit([{ ...first, weight: 3 }, second, third])).toBe(several.replace('weight: 2', 'weight: 3'))
    expect(edit([first, '10.0.0.33:80', third])).toBe(several.replace('10.0.0.3:', '10.0.0.33:'))
    expect(edit([first, { to: '10.0.0.3:80', weight: 5 }, third])).toBe(
      several.replace('- 10.0.0.3:80 #', '- { to: 10.0.0.3:80, weight: 5 } #'),
    )
    expect(edit([first, second, third, '10.0.0.5:80'])).toBe(`${several}      - 10.0.0.5:80\n`)
    const without = edit([first, third])
    expect(without).toContain('# twice as fast')
    expect(without).toContain('# only when the others sleep')
    expect(without).not.toContain('cellar')
    expect(edit(['10.0.0.4:80', second])).toMatch(/- 10\.0\.0\.4:80\n {6}- 10\.0\.0\.3:80 # in the cellar/)
    const turned = edit([second, first, third])
    expect(turned).toMatch(
      /10\.0\.0\.3:80 # in the cellar\n {6}- .*10\.0\.0\.2:80, weight: 2 } # twice as fast/,
    )
  })
})

it('rules behind --- are an error at that line, and none that nobody reads', () => {
  const one = 'rules:\n  a: { listen: 1, target: 2 }\n'
  expect(problemsOf(`${one}---\nrules:\n  b: { listen: 3, target: 4 }\n`)).toEqual([
    '3:1  a second document begins here, which would not be read: put all rules under one `rules:`',
  ])
  expect([...open(`---\n${one}`).rules.keys()]).toEqual(['a'])
})
