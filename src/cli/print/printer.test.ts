import { describe, expect, it } from 'vitest'
import { FakeIo } from '../../../test/fakes/io.ts'
import { say } from '../../base/text.ts'
import { createPrinter } from './printer.ts'
import { table } from './table.ts'
import { clipped } from './width.ts'

/** Clears the screen, writes into the clipboard, rings, turns what follows around, joins, begins a C1 sequence. */
const hostile = 'a\u001B[2J\u001B]52;c;eA==\u0007\u202Eb\u200D\u009B31m\r\u{E0001}'
const seen = 'a\\u001b[2J\\u001b]52;c;eA==\\u0007\\u202eb\\u200d\\u009b31m\\u000d\\udb40\\udc01'

function onTerminal(): { io: FakeIo; print: ReturnType<typeof createPrinter> } {
  const io = new FakeIo()
  io.stdout.isTTY = true
  io.stderr.isTTY = true
  return { io, print: createPrinter(io, 'en', { colour: true }) }
}

describe('what others named', () => {
  it('reaches a terminal as signs that can be read, in our colours and no others', () => {
    const { io, print } = onTerminal()
    const { red, bold } = print.paint
    print.data(bold(`x ${red(hostile)}`))
    print.talk(say(hostile, hostile))
    expect(io.stdout.text).toBe(`\u001B[1mx \u001B[31m${seen}\u001B[39m\u001B[22m\n`)
    expect(io.stderr.text).toBe(`${seen}\n`)
  })

  it('colours nothing, though it be a colour of ours', () => {
    const { io, print } = onTerminal()
    print.data('\u001B[31mred')
    expect(io.stdout.text).toBe('\\u001b[31mred\n')
  })

  it('begins no line of a table, and is as wide there as it is shown', () => {
    const { io, print } = onTerminal()
    for (const line of table(
      [{ title: 'NAME' }, { title: 'PORT' }],
      [
        ['a\nroot', '1'],
        ['abc', '2'],
      ],
    ))
      print.data(line)
    expect(io.stdout.lines).toEqual(['NAME         PORT', 'a\\u000aroot  1', 'abc          2'])
  })

  it('is cut where it is too wide as it is shown', () => {
    expect(clipped('\u001B\u001B', 8)).toBe('\\u001b\\…')
  })

  it('breaks sentences between words on a terminal, under their own indentation, and nowhere else', () => {
    const { io, print } = onTerminal()
    io.stdout.columns = io.stderr.columns = 24
    print.prose('  the service does not answer: 한글도 단어에서')
    expect(io.stdout.lines).toEqual(['  the service does not', '  answer: 한글도', '  단어에서'])
    print.talk('one_word_that_is_wider_than_the_terminal and more')
    expect(io.stderr.lines).toEqual(['one_word_that_is_wider_than_the_terminal', 'and more'])
    const file = new FakeIo()
    file.stdout.columns = 10
    createPrinter(file, 'en', { colour: false }).prose('to a file it goes as it is')
    expect(file.stdout.lines).toEqual(['to a file it goes as it is'])
  })

  it('is the same in JSON as it was, and says nothing to a terminal there either', () => {
    const { io, print } = onTerminal()
    print.json({ name: hostile })
    expect(JSON.parse(io.stdout.text)).toEqual({ name: hostile })
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    expect(io.stdout.text).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]|\p{Cf}/u)
  })
})
