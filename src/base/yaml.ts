/** YAML that somebody else wrote, read without trust in its shape: every reader of YAML begins here. */
import {
  Composer,
  Document,
  isCollection,
  isNode,
  isScalar,
  Lexer,
  Parser,
  visit,
  YAMLParseError,
  type CST,
  type DocumentOptions,
  type Node,
  type Pair,
  type ParseOptions,
  type SchemaOptions,
} from 'yaml'
import { say, type Text } from './text.ts'

/** Levels of maps and lists in each other; a rules file has five, a Compose file six. */
const mostLevels = 64

/** The library looks at all of them for each. */
const mostDirectives = 20

interface Options extends Omit<ParseOptions, 'uniqueKeys'>, DocumentOptions, SchemaOptions {
  /** Words, signs and spaces; each costs up to 15 µs. @default 4,000,000 */
  readonly mostTokens?: number
  /** Those that mean something to the reader, such as `!reset`. @default none */
  readonly tags?: readonly string[]
}

/**
 * The first document of `text`; what keeps it from being read is among its errors, in the order of the text.
 *
 * The library's readers call themselves for each level, and near the end of the stack V8 may end the process where it
 * compiles a regular expression, which nobody can catch: so the levels are counted before anything is read. A key that
 * is a map, a list or an alias is an error: the library writes such a key out for each level that it is in, and its
 * quotes are quoted anew each time, so that thirty levels would fill the memory. Keys that stand twice are looked for
 * here: the library compares each key with all before it.
 */
export function yamlDocument(text: string, options: Options): Document.Parsed {
  try {
    const document = composed(text, options)
    checkNodes(document, options.tags ?? [])
    document.errors.sort((a, b) => a.pos[0] - b.pos[0])
    return document
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    const empty = new Document(null) as Document.Parsed
    empty.errors.push(problemAt(error.offset, error.problem))
    return empty
  }
}

/** An error of a document as a line; but for our own, in the library's words where they are English. */
export function yamlProblem({ message }: { readonly message: string }): Text {
  const own = Object.values(problems).find(({ en }) => en === message)
  if (own) return own
  const first = message.split('\n')[0] ?? message
  const [, ko = first] = inKorean.find(([words]) => words.test(first)) ?? []
  return { en: first, ko: `YAML 문법 오류: ${ko}` }
}

/** What the library says of what people mistype; the rest is rare. */
const inKorean: readonly (readonly [RegExp, string])[] = [
  [/end with a \}/, '여는 중괄호 {에 맞는 }가 없습니다'],
  [/end with a \]/, '여는 대괄호 [에 맞는 ]가 없습니다'],
  [/^Tabs are not allowed/, '들여쓰기에는 탭 대신 공백을 쓰세요'],
  [
    /^All (?:mapping|sequence) items|indent/i,
    '들여쓰기가 맞지 않습니다. 같은 단계의 줄은 같은 칸에서 시작합니다',
  ],
  [/^Nested mappings/, '한 줄에 "키: 값"이 두 번 나옵니다. 줄을 나누거나 값을 따옴표로 묶으세요'],
  [/^Implicit keys need/, '키는 한 줄에 씁니다. 이 줄이나 앞줄의 들여쓰기와 콜론(:)을 확인하세요'],
  [/^Implicit map keys need/, '"키: 값"에서 콜론(:)이 빠졌습니다'],
  [
    /^Block collections are not/,
    '괄호 안에서는 항목 사이에 쉼표(,)를 쓰고, 들여쓴 맵이나 목록은 쓰지 않습니다',
  ],
  [/^Missing closing .quote/, '닫는 따옴표가 없습니다'],
  [/^Missing , /, '항목 사이에 쉼표(,)가 빠졌습니다'],
  [/^Missing space after :/, '콜론(:) 뒤에 공백을 넣으세요'],
  [/^Comments must be separated/, '주석(#) 앞에 공백을 넣으세요'],
  [/^Sequence item without -/, '목록 항목 앞에 "- "가 빠졌습니다'],
  [/^A block sequence may not/, '"- "로 시작하는 목록은 다음 줄에 들여써서 쓰세요'],
  [/^Plain value cannot start with/, '이 기호로 시작하는 값은 따옴표로 묶으세요'],
  [/^Invalid escape sequence/, '큰따옴표 안의 \\ 표기가 잘못되었습니다. 작은따옴표로 묶으세요'],
  [/^a second document begins here/, '두 번째 문서가 여기서 시작됩니다. 문서는 하나만 씁니다'],
  [/^Unresolved alias/, '별칭(*)이 가리키는 값이 없습니다'],
  [/^Unexpected /, '이 자리에 올 수 없는 것이 있습니다. 따옴표, 괄호, 쉼표를 확인하세요'],
]

const problems = {
  keyTwice: say('this key stands here twice'),
  noWord: say('a key is a word, not a map, a list or an alias'),
  tooDeep: say`it is nested too deeply here: the most is ${mostLevels} levels of maps and lists`,
  tooLong: say('it says more than can be read up to here'),
  directives: say`more than ${mostDirectives} lines with % before the document: take them out`,
  itself: say('this alias stands in what it names, which would never end: write the value out'),
  tag: say('a tag such as !!binary means nothing here: take it out'),
}

type Problem = keyof typeof problems

function composed(text: string, options: Options): Document.Parsed {
  let first: Document.Parsed | null = null
  const composer = new Composer({ ...options, uniqueKeys: false })
  for (const document of composer.compose(tokensOf(text, options), true, text.length)) {
    if (first) {
      const second = [document.range[0], document.range[1]] as [number, number]
      first.errors.push(new YAMLParseError(second, 'MULTIPLE_DOCS', 'a second document begins here'))
      break
    }
    first = document
  }
  return first as Document.Parsed
}

class Refused extends Error {
  readonly offset: number
  readonly problem: Problem

  constructor(offset: number, problem: Problem) {
    super()
    this.offset = offset
    this.problem = problem
  }
}

/** @throws Refused */
function* tokensOf(text: string, { lineCounter, mostTokens = 4_000_000 }: Options): Generator<CST.Token> {
  const parser = new Parser(lineCounter?.addNewLine)
  lineCounter?.addNewLine(0)
  let [directives, tokens] = [0, 0]
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) {
      if (token.type === 'directive' && ++directives > mostDirectives)
        throw new Refused(token.offset, 'directives')
      yield token
    }
    if (++tokens > mostTokens) throw new Refused(parser.offset, 'tooLong')
    if (parser.stack.length > mostLevels) throw new Refused(parser.offset, 'tooDeep')
  }
  yield* parser.end()
}

function checkNodes(document: Document.Parsed, tags: readonly string[]): void {
  const wrong = (node: Node, problem: Problem): void => {
    document.errors.push(problemAt(node.range?.[0] ?? 0, problem))
  }
  const checkTag = (node: Node & { tag?: string | undefined }): void => {
    if (node.tag !== undefined && !plainTags.test(node.tag) && !tags.includes(node.tag)) wrong(node, 'tag')
  }
  visit(document, {
    Map(_, map) {
      checkTag(map)
      const keys = new Set<string>()
      for (const { key } of map.items as Pair<Node>[]) {
        if (!isScalar(key)) continue
        const name = String(key.value)
        if (keys.has(name)) wrong(key, 'keyTwice')
        keys.add(name)
      }
    },
    Pair(_, { key }) {
      if (isScalar(key) || !isNode(key)) return
      wrong(key, 'noWord')
      // Who walks on would meet it again.
      return visit.SKIP
    },
    Alias(_, alias, path) {
      if (path.some((above) => isCollection(above) && above.anchor === alias.source)) wrong(alias, 'itself')
    },
    Value: (_, node) => checkTag(node),
  })
}

/** What a value is without one, too. */
const plainTags = /^tag:yaml\.org,2002:(?:str|int|float|bool|null|map|seq|merge)$/

function problemAt(offset: number, problem: Problem): YAMLParseError {
  return new YAMLParseError([offset, offset + 1], 'UNEXPECTED_TOKEN', problems[problem].en)
}
