/** What the kernel knows of bytes that wait for a TCP peer to take them. */
export interface Outstanding {
  /** All that it has ever acknowledged. */
  readonly ackedBytes: number
  /** Since its last acknowledgement, of whatever. */
  readonly silentMs: number
  /** Some was sent again for want of one, or a closed window was asked about. */
  readonly sentAgain: boolean
}
