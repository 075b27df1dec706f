// npm run demo: the built server on the simulated venues, without network, keys or Redis. The variables are set here and
// not in package.json, since shells differ in how they set one. What the caller has set stays.
const DEMO = {
  SANDBOX: 'true',
  REDIS_ENABLED: 'false',
  DASHBOARD_WATCH: 'binance:BTC/USDT,binance:ETH/USDT,kraken:BTC/USD,coinbasepro:BTC/USD',
};
for (const [name, value] of Object.entries(DEMO)) process.env[name] ??= value;
await import('../dist/cli.js');
