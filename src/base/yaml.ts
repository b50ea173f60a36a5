/** YAML that somebody else wrote, read without trust in its shape. */
import {
  parseDocument,
  type Document,
  type DocumentOptions,
  type ParseOptions,
  type SchemaOptions,
} from 'yaml'

/** Null where it is nested deeper than can be read: the library's readers call themselves for each level. */
export function yamlDocument(
  text: string,
  options: ParseOptions & DocumentOptions & SchemaOptions,
): Document.Parsed | null {
  try {
    return parseDocument(text, options)
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}
