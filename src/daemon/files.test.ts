import { expect, it } from 'vitest'
import { ruleFile } from './files.ts'

it('a file whose name or folder is no UTF-8 is refused, as Node would read and write another', () => {
  const decoded = Buffer.from('caf\xe9', 'latin1').toString('utf8')
  expect(() => ruleFile(`${decoded}.yaml`)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' }))
  expect(() => ruleFile(null, { NARU_CONFIG: `/srv/${decoded}/naru.yaml` })).toThrow(/UTF-8/)
  expect(ruleFile('/srv/카페/café.yaml')).toBe('/srv/카페/café.yaml')
})
