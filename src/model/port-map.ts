/** A range of ports is carried port by port: `8000-8100` → `9000-9100` keeps the offset, any range → one port meets there. */
import type { PortRange } from '../base/port.ts'

/** @param port one of `listen`. @param target one port, or as many as `listen` has. */
export function targetPort(port: number, listen: PortRange, target: PortRange): number {
  return target.first === target.last ? target.first : target.first + (port - listen.first)
}
