/** A text as a QR code: dark on light in every theme, with the quiet zone of four modules that readers need. */
import { useCallback } from 'react'
import { qrCode } from '../../../src/model/qr.ts'

export interface QrProps {
  readonly text: string
  readonly label: string
}

export default function Qr({ text, label }: QrProps) {
  // A camera has to see all of it, on a small screen too.
  const shown = useCallback((drawn: SVGSVGElement | null) => drawn?.scrollIntoView({ block: 'nearest' }), [])
  const code = qrCode(text)
  const size = code.length + 8
  const path = code
    .flatMap((row, y) => row.flatMap((dark, x) => (dark ? `M${x + 4} ${y + 4}h1v1h-1z` : [])))
    .join('')
  return (
    <svg
      ref={shown}
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={label}
      shapeRendering="crispEdges"
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  )
}
