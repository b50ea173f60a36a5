/** Milliseconds of CPU that the process takes for `work`: what other programs do meanwhile hardly counts. */
export function cpuMs(work: () => unknown): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
