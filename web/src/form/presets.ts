/** Services that people forward at home, with the port they are known by. A well-known port gets a high one outside. */
import type { Draft } from './draft.ts'

interface Preset {
  readonly name: string
  readonly title: string
  readonly port: string
  readonly protocol: Draft['protocol']
}

export const presets: readonly Preset[] = [
  { name: 'http', title: 'HTTP (web)', port: '80', protocol: 'tcp' },
  { name: 'https', title: 'HTTPS (web)', port: '443', protocol: 'tcp' },
  { name: 'ssh', title: 'SSH', port: '22', protocol: 'tcp' },
  { name: 'rdp', title: 'RDP (Remote Desktop)', port: '3389', protocol: 'tcp+udp' },
  { name: 'vnc', title: 'VNC', port: '5900', protocol: 'tcp' },
  { name: 'wireguard', title: 'WireGuard', port: '51820', protocol: 'udp' },
  { name: 'openvpn', title: 'OpenVPN', port: '1194', protocol: 'udp' },
  { name: 'minecraft', title: 'Minecraft (Java)', port: '25565', protocol: 'tcp' },
  { name: 'minecraft-bedrock', title: 'Minecraft (Bedrock)', port: '19132', protocol: 'udp' },
  { name: 'palworld', title: 'Palworld', port: '8211', protocol: 'udp' },
  { name: 'steam', title: 'Steam', port: '27015', protocol: 'tcp+udp' },
  { name: 'valheim', title: 'Valheim', port: '2456-2457', protocol: 'udp' },
  { name: 'plex', title: 'Plex', port: '32400', protocol: 'tcp' },
  { name: 'jellyfin', title: 'Jellyfin', port: '8096', protocol: 'tcp' },
  { name: 'home-assistant', title: 'Home Assistant', port: '8123', protocol: 'tcp' },
  { name: 'synology', title: 'Synology DSM', port: '5001', protocol: 'tcp' },
  { name: 'bittorrent', title: 'BitTorrent', port: '6881', protocol: 'tcp+udp' },
]

const lastWellKnown = 1023

/** The preset that the draft still is. */
export function presetOf({ internalPort, protocol, name }: Draft): Preset | null {
  const same = presets.filter((one) => one.port === internalPort && one.protocol === protocol)
  return same.find((one) => one.name === name) ?? same[0] ?? null
}

/** What a preset fills in; a name that somebody typed stays. */
export function withPreset(draft: Draft, { name, port, protocol }: Preset): Draft {
  const known = presets.some((one) => one.name === draft.name)
  const first = Number(port.split('-')[0])
  return {
    ...draft,
    name: draft.name === '' || known ? name : draft.name,
    externalPort: first <= lastWellKnown ? String(first + 8000) : port,
    internalPort: port,
    protocol,
  }
}
