/** Milliseconds that a test waits for what must come, however busy the machine is. No test asserts that it came sooner. */
export const patience = 30_000
