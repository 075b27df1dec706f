import { networkInterfaces } from 'node:os';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { startTestApp } from '../../support/app.js';

test('HOST=:: answers over IPv4, and over IPv6 where this machine has it', async () => {
  const loopback = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const hasIpv6 = loopback.some(({ address }) => address === '::1');
  const { app } = await startTestApp({ HOST: hasIpv6 ? '::' : '0.0.0.0' });
  await app.listen({ port: 0, host: hasIpv6 ? '::' : '0.0.0.0' });
  const { port } = app.server.address() as AddressInfo;
  for (const host of hasIpv6 ? ['127.0.0.1', '[::1]'] : ['127.0.0.1'])
    expect((await fetch(`http://${host}:${port}/v1/health`)).status, host).toBe(200);
  await app.close();
});
