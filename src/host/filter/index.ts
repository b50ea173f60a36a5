/** The machine's packet filters, read and asked: what comes in is a question, what goes out the rule that decides. */
export { answerFor, placeText, toolOf, type Answer } from './answer.ts'
export { packetsOf, type Asked, type Packets } from './packets.ts'
export { canDrop, isOurs, openingsFor, type Opening } from './place.ts'
export type { Chain, FilterOwner, FilterRule, Packet, PacketFilter } from './program.ts'
export { failed, readFilter } from './read.ts'
export { baseChains, walk, type Journey, type Place } from './walk.ts'
