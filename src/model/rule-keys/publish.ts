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
      why: say('write auto, off or a member’s name'),
    })
  },
  { type: 'string', examples: ['auto', 'off'] },
)

/** A hop that is not named stays closed: nobody opens a router by asking for a firewall (`publish: true` opens both). */
const anyRouter = {
  en: `${routerIds.slice(0, -1).join(', ')} or ${routerIds.at(-1)}`,
  ko: routerIds.join(', '),
}

const hopByHop = group({
  /** `off`, `auto`, or a firewall member's id. */
  firewall: {
    shape: member,
    doc: say('open the host firewall: auto, off, or one by name'),
    fallback: 'off',
    always: true,
    option: {
      name: 'firewall',
      value: 'MEMBER',
      bare: 'auto',
      choices: ['auto', 'off', ...firewallIds],
      text: say('open the host firewall'),
    },
  },
  /** `off`, `auto`, or a router member's id. */
  router: {
    shape: member,
    doc: say`map the port on the router: auto, off, ${anyRouter}`,
    fallback: 'off',
    always: true,
    option: {
      name: 'router',
      value: 'MEMBER',
      bare: 'auto',
      choices: ['auto', 'off', ...routerIds],
      text: say('map the port on the router'),
    },
  },
  /** `direct`: the relay dials the guest. `nat`: the hypervisor forwards. */
  guest: {
    shape: oneOf(['direct', 'nat']),
    doc: say('reach a guest by its own address, or by its hypervisor’s forward'),
    fallback: 'direct',
    always: true,
    option: {
      name: 'guest',
      value: 'WAY',
      bare: 'nat',
      text: say('how the guest is reached: by its own address, or by its hypervisor’s forward'),
    },
  },
  /** The router's port; null is the listen port, `any` takes what the router gives. */
  externalPort: {
    shape: either((value) => value === 'any', oneOf(['any']), whole(1, 65_535)),
    doc: say('the router’s port; any takes what the router gives'),
    fallback: null,
    option: {
      name: 'external-port',
      value: 'PORT|any',
      text: say('the port on the router (default: the listen port)'),
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
