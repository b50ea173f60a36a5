/** The machine's packet filters, read and asked: what comes in is a question, what goes out the rule that decides. */
export { answerFor, placeText, toolOf } from './answer.ts'
export { packetsOf, type Asked, type Packets } from './packets.ts'
export { canDrop, isOurs, openingsFor, type Opening } from './place.ts'
export type { Chain, FilterRule, Packet, PacketFilter } from './program.ts'
export { failed, readFilter } from './read.ts'
export { walk } from './walk.ts'
