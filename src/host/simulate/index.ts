/** The machine's packet filters, read and asked: what comes in is a question, what goes out the rule that decides. */
export { answerFor, placeText } from './answer.ts'
export { ruleWords } from './iptables.ts'
export { Others, unreadable } from './others.ts'
export { packetsOf, type PacketQuestion, type Packets } from './packets.ts'
export { canDrop, isOurs, openingsFor, type Opening } from './place.ts'
export type { Chain, FilterRule, PacketFilter } from './program.ts'
export { failed, readFilter } from './read.ts'
export { walk, type ChainFate } from './walk.ts'
