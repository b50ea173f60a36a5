/** The Korean of what the page and the code that it brings along say: `src/base/korean.ts` of the page. */
import api from '../../../locales/ko/api.json'
import base from '../../../locales/ko/base.json'
import model from '../../../locales/ko/model.json'
import web from '../../../locales/ko/web.json'

const rows = new Map<string, string>(Object.entries({ ...base, ...model, ...api, ...web }))

export function koreanOf(key: string): string | undefined {
  return rows.get(key) || undefined
}
