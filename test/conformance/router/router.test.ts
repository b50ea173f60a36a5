import { membersAt } from '../../fakes/at-home.ts'
import { routerConformance } from './suite.ts'

for (const [id, make] of Object.entries(membersAt)) routerConformance(id, make)
