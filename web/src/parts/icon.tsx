/** Line icons of one weight, drawn here so that no font or file is fetched. They say nothing alone: text stands beside. */
const paths = {
  check: 'M4 10.5l4 4 8-9',
  cross: 'M5 5l10 10M15 5L5 15',
  warning: 'M10 3.5l7.2 13H2.8zM10 8.5v3.5M10 14.2v.1',
  dots: 'M5 10v.1M10 10v.1M15 10v.1',
  none: 'M6 10h8',
  eye: 'M2.5 10S5.5 5 10 5s7.5 5 7.5 5-3 5-7.5 5-7.5-5-7.5-5zM10 8.2a1.8 1.8 0 100 3.6 1.8 1.8 0 000-3.6z',
  plus: 'M10 4v12M4 10h12',
  edit: 'M4 16l.8-3.5L13 4.3l2.7 2.7-8.2 8.2zM11.5 5.8l2.7 2.7',
  trash: 'M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6M9 9v4M11 9v4',
  search: 'M9 4a5 5 0 100 10A5 5 0 009 4zM13 13l3.5 3.5',
  rules: 'M4 5h12M4 10h12M4 15h8',
  traffic: 'M3 14l4-5 3.5 3L17 5M13 5h4v4',
  doctor: 'M10 4v12M4 10h12M10 1.8a8.2 8.2 0 100 16.4A8.2 8.2 0 0010 1.8z',
  machine: 'M3 4h14v9H3zM7 17h6M10 13v4',
  gear: 'M10 7a3 3 0 100 6 3 3 0 000-6zM10 2v3M10 15v3M2 10h3M15 10h3M4.3 4.3l2.1 2.1M13.6 13.6l2.1 2.1M4.3 15.7l2.1-2.1M13.6 6.4l2.1-2.1',
  client: 'M4 5h12v8H4zM2.5 16h15',
  router: 'M3 11h14v5H3zM6 13.5v.1M9 13.5v.1M10 11V7M6.5 6a5 5 0 017 0M8.3 7.7a2.5 2.5 0 013.4 0',
  firewall: 'M3 4h14v12H3zM3 8h14M3 12h14M8 4v4M13 8v4M8 12v4',
  relay: 'M3 7h11l-3-3M17 13H6l3 3',
  guest: 'M3 3h14v14H3zM6 6h8v8H6z',
  service: 'M4 3h12v5H4zM4 12h12v5H4zM7 5.5v.1M7 14.5v.1M10 8v4',
  clock: 'M10 3a7 7 0 100 14 7 7 0 000-14zM10 6v4l2.5 2',
  back: 'M12 4l-6 6 6 6',
  phone: 'M6 2h8v16H6zM9 15.5h2',
  down: 'M10 4v12M5 11l5 5 5-5',
  up: 'M10 16V4M5 9l5-5 5 5',
  copy: 'M7 7h9v9H7zM4 13V4h9',
  qr: 'M3 3h5v5H3zM12 3h5v5h-5zM3 12h5v5H3zM12 12h2v2h-2zM16 16h1v1h-1zM12 17h1M17 12v1',
  globe: 'M10 3a7 7 0 100 14 7 7 0 000-14zM3 10h14M10 3c5 5 5 9 0 14M10 3c-5 5-5 9 0 14',
  log: 'M4 3h12v14H4zM7 7h6M7 10h6M7 13h4',
  exchange: 'M3 7h12l-3-3M17 13H5l3 3',
  out: 'M8 4H4v12h4M12 6l4 4-4 4M16 10H8',
} as const

export type IconName = keyof typeof paths

export function iconPath(name: IconName): string {
  return paths[name]
}

export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }) {
  return (
    <svg className="icon" viewBox="0 0 20 20" width={size} height={size} aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  )
}
