import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { expect, it } from 'vitest'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { Lab } from './namespaces.ts'
import { homeAddresses, homeNetwork, reaches, startWebServer, upnpc } from './router.ts'

const needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'nft', 'miniupnpd', 'upnpc', 'curl'],
} as const

describeWith(needs, 'the router of the lab', () => {
  it('opens a port for upnpc, shows it in the kernel, and forgets it at a restart', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab)
    await startWebServer(home.host, 80)
    expect(reaches(home.internet, 'http://11.0.0.2:8888/')).toBe(false)
    expect(upnpc(home.host, '-a', homeAddresses.host, '80', '8888', 'tcp', '3600')).toContain('is redirected')
    expect(home.router.mappings()).toEqual([
      { protocol: 'tcp', externalPort: 8888, internalAddress: homeAddresses.host, internalPort: 80 },
    ])
    expect(reaches(home.internet, 'http://11.0.0.2:8888/')).toBe(true)
    await home.router.restart()
    expect(home.router.mappings()).toEqual([])
  })

  it('lets a test be inside a host and come home again', async () => {
    await using lab = new Lab()
    const host = lab.host('a')
    const before = Object.keys(networkInterfaces())
    lab.cable(
      { host, interface: 'eth7', addresses: ['10.9.8.7/24'] },
      { host: lab.host('b'), interface: 'eth0', addresses: ['10.9.8.6/24'] },
    )
    const server = createServer()
    {
      using _inside = enter(host)
      expect(Object.keys(networkInterfaces())).toContain('eth7')
      await new Promise<void>((resolve) => server.listen(0, '10.9.8.7', resolve))
    }
    expect(Object.keys(networkInterfaces())).toEqual(before)
    await new Promise((resolve) => server.close(resolve))
  })
})
