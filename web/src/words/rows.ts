/** The rows of `locales/ko` for what the page and the code that it brings along say. */
import api from '../../../locales/ko/api.json' with { type: 'json' }
import base from '../../../locales/ko/base.json' with { type: 'json' }
import model from '../../../locales/ko/model.json' with { type: 'json' }
import web from '../../../locales/ko/web.json' with { type: 'json' }

export const rows: ReadonlyMap<string, string> = new Map(
  Object.entries({ ...base, ...model, ...api, ...web }),
)
