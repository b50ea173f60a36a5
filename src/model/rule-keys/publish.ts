/** `publish`: how far out a rule is opened, all at once or hop by hop. */
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { either, mapped, oneOf, whole, written, yesNo } from '../schema.ts'
import { firewallIds, routerIds } from './choices.ts'
import { group, type Inside } from './row.ts'

const member = written(
  (text) => {
    if (/^[a-z][a-z0-9-]{0,30}$/.test(text)) return text
    throw new NaruError('VALUE_INVALID', {
      what: 'member',
      value: text,
      why: say('write auto, off or a member’s name', 'auto, off 또는 멤버 이름을 쓰세요'),
    })
  },
  { type: 'string', examples: ['auto', 'off'] },
)

/** A hop that is not named stays closed: nobody opens a router by asking for a firewall (`publish: true` opens both). */
const hopByHop = group({
  /** `off`, `auto`, or a firewall member's id. */
  firewall: {
    shape: member,
    doc: say('open the host firewall: auto, off, or one by name', '호스트 방화벽 열기: auto, off 또는 이름'),
    fallback: 'off',
    always: true,
    option: {
      name: 'firewall',
      value: 'MEMBER',
      bare: 'auto',
      choices: ['auto', 'off', ...firewallIds],
      text: say('open the host firewall', '호스트 방화벽을 엽니다'),
    },
  },
  /** `off`, `auto`, or a router member's id. */
  router: {
    shape: member,
    doc: say(
      `map the port on the router: auto, off, ${routerIds.slice(0, -1).join(', ')} or ${routerIds.at(-1)}`,
      `공유기 포트 매핑: auto, off, ${routerIds.join(', ')}`,
    ),
    fallback: 'off',
    always: true,
    option: {
      name: 'router',
      value: 'MEMBER',
      bare: 'auto',
      choices: ['auto', 'off', ...routerIds],
      text: say('map the port on the router', '공유기에 포트를 매핑합니다'),
    },
  },
  /** `direct`: the relay dials the guest. `nat`: the hypervisor forwards. */
  guest: {
    shape: oneOf(['direct', 'nat']),
    doc: say(
      'reach a guest by its own address, or by its hypervisor’s forward',
      '게스트 주소로 직접 연결하거나 하이퍼바이저의 포트 포워딩 사용',
    ),
    fallback: 'direct',
    always: true,
    option: {
      name: 'guest',
      value: 'WAY',
      bare: 'nat',
      text: say(
        'how the guest is reached: by its own address, or by its hypervisor’s forward',
        '게스트에 닿는 방법: 게스트 주소로 직접, 또는 하이퍼바이저의 포트 전달로',
      ),
    },
  },
  /** The router's port; null is the listen port, `any` takes what the router gives. */
  externalPort: {
    shape: either((value) => value === 'any', oneOf(['any']), whole(1, 65_535)),
    doc: say(
      'the router’s port; any takes what the router gives',
      '공유기의 외부 포트. any는 공유기가 주는 포트를 받음',
    ),
    fallback: null,
    option: {
      name: 'external-port',
      value: 'PORT|any',
      text: say('the port on the router (default: the listen port)', '공유기의 외부 포트 (기본: 수신 포트)'),
    },
  },
})

type Publish = Inside<typeof hopByHop.rows>

export const notPublished: Publish = hopByHop.usual

export const publish = {
  ...either(
    (value) => typeof value === 'boolean',
    mapped(yesNo, (yes): Publish =>
      yes ? { ...notPublished, firewall: 'auto', router: 'auto' } : notPublished,
    ),
    hopByHop,
  ),
  rows: hopByHop.rows,
}
