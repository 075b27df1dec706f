/** The official client, connected in memory to a server of ours. */
import { Client, InMemoryTransport } from '@modelcontextprotocol/client';
import { createMcpServerFactory, type McpServerDependencies } from '../../../src/mcp/mcp-server.js';
import { silentLog } from '../../../src/log/log.js';
import { FakeLedger } from './fake-ledger.js';
import { FakeMarketData, NOW } from './fake-market-data.js';

type Options = Partial<Pick<McpServerDependencies, 'sandbox' | 'log' | 'onCall' | 'ledger'>>;

export const connect = async ({
  sandbox = false,
  log = silentLog,
  onCall,
  ledger = new FakeLedger(),
}: Options = {}) => {
  const marketData = new FakeMarketData();
  const server = createMcpServerFactory({
    ...{ marketData, ledger, sandbox, log, version: '9.8.7', now: () => NOW },
    ...(onCall && { onCall }),
  })();
  const client = new Client({ name: 'test', version: '1.0.0' });
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair();
  await server.connect(serverSide);
  await client.connect(clientSide);
  return { client, marketData };
};

/** The text of a result's only text block. */
export const textOf = (result: { content: readonly { type: string }[] }): string => {
  const [block, ...rest] = result.content;
  if (block?.type !== 'text' || !('text' in block) || typeof block.text !== 'string' || rest.length > 0)
    throw new Error('expected one text block');
  return block.text;
};
