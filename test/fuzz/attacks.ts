/**
 * Texts that make a regular expression go back over what it has read, from its own shape: for each part that repeats,
 * the shortest text that leads to it, then as much as fits of what it takes, or of that beginning itself, and at the
 * end what nothing goes on with.
 */
import { RegExpParser, visitRegExpAST, type AST } from '@eslint-community/regexpp'

/** What parts may repeat: tried in this order. */
const pool = ' \n\ta0Z:-./"\'=(<[{,_>;$é'.split('')
const mostFillings = 6
/** A part that repeats no more often than that costs no more than that. */
const harmless = 40
const ends = ['\0', '\n', '/\n\0', '\u2028\0']

export interface Attack {
  /** @returns about so many characters. */
  readonly ofLength: (length: number) => string
}

export function attacksOn({ source, flags }: RegExp): readonly Attack[] {
  const { pattern, flags: parsed } = new RegExpParser().parseLiteral(`/${source}/${flags}`)
  const attacks: Attack[] = []
  visitRegExpAST(pattern, {
    onQuantifierEnter(quantifier) {
      if (quantifier.max <= harmless) return
      const before = leadingTo(quantifier)
      for (const filling of fillingsOf(quantifier, parsed.raw)) {
        for (const [head, piece] of [
          [before, filling],
          [`\0${before}`, filling],
          ['', before],
          ['', before + filling],
        ] as const)
          if (piece !== '') for (const end of ends) attacks.push(attackOf(head, piece, end))
      }
    },
  })
  return attacks
}

function attackOf(head: string, piece: string, end: string): Attack {
  return { ofLength: (length) => head + piece.repeat(Math.ceil(length / piece.length)) + end }
}

function fillingsOf({ element }: AST.Quantifier, flags: string): readonly string[] {
  const taken = new RegExp(`^(?:${element.raw})$`, flags.replaceAll(/[gy]/g, ''))
  return [
    ...new Set([...pool.filter((text) => matches(taken, text)).slice(0, mostFillings), shortest(element)]),
  ]
}

function matches(expression: RegExp, text: string): boolean {
  return expression.test(text)
}

/** The shortest text, as far as its looks tell, after which `node` may begin. */
function leadingTo(node: AST.Node): string {
  const { parent } = node
  if (!parent) return ''
  if (parent.type !== 'Alternative') return leadingTo(parent)
  const before = parent.elements.slice(0, parent.elements.indexOf(node as AST.Element))
  return leadingTo(parent) + before.map(shortest).join('')
}

function shortest(node: AST.Element): string {
  switch (node.type) {
    case 'Character':
      return String.fromCodePoint(node.value)
    case 'CharacterSet':
    case 'CharacterClass':
    case 'ExpressionCharacterClass':
      return pool.find((text) => new RegExp(`^${node.raw}$`, 'u').test(text)) ?? 'a'
    case 'Group':
    case 'CapturingGroup':
      return node.alternatives[0]?.elements.map(shortest).join('') ?? ''
    case 'Quantifier':
      return shortest(node.element).repeat(node.min)
    default:
      return ''
  }
}
