/** YAML that somebody else wrote, read without trust in its shape. */
import {
  isNode,
  isScalar,
  parseDocument,
  visit,
  YAMLParseError,
  type Document,
  type DocumentOptions,
  type ParseOptions,
  type SchemaOptions,
} from 'yaml'
import { say, type Text } from './text.ts'

/**
 * Null where it is nested deeper than can be read: the library's readers call themselves for each level.
 * A key that is a map, a list or an alias is an error of the document: the library writes such a key out for each
 * level that it is in, and its quotes are quoted anew each time, so that thirty levels would fill the memory.
 */
export function yamlDocument(
  text: string,
  options: ParseOptions & DocumentOptions & SchemaOptions,
): Document.Parsed | null {
  try {
    const document = parseDocument(text, options)
    visit(document, {
      Pair(_, { key }) {
        if (isScalar(key) || !isNode(key)) return
        const [at, end] = key.range ?? [0, 0]
        document.errors.push(new YAMLParseError([at, end], 'UNEXPECTED_TOKEN', notAKey))
        // Who walks on would meet it again.
        return visit.SKIP
      },
    })
    return document
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

const notAKey = 'a key is a word, not a map, a list or an alias'

/** An error of a document as a line; but for our own, in the library's words. */
export function yamlProblem({ message }: { readonly message: string }): Text {
  if (message === notAKey) return say(notAKey, '키 자리에는 맵, 목록, 별칭이 아닌 낱말을 씁니다')
  const first = message.split('\n')[0] ?? message
  return say(first, `YAML 문법 오류: ${first}`)
}
