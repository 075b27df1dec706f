/** A real nginx of the test's own, as an operator would put it in front of a server. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from './free-port.js';

const START_TIMEOUT_MS = 20_000;
/** Debian's is not in the PATH of every user. */
const BINARY =
  ['/usr/sbin/nginx', '/usr/local/bin/nginx', '/usr/local/sbin/nginx'].find(existsSync) ?? 'nginx';

export interface Proxy {
  readonly url: string;
  stop(): Promise<void>;
}

const requireBinary = (): void => {
  try {
    execFileSync(BINARY, ['-v'], { stdio: 'ignore' });
  } catch {
    throw new Error('These tests need nginx: install it (Debian: apt-get install nginx-light).');
  }
};

type Locations = (folder: string) => { readonly http: string; readonly server: string };

const configuration = (folder: string, port: number, locations: Locations): string => `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  ${locations(folder).http}
  server {
    listen 127.0.0.1:${port};
    proxy_http_version 1.1;
    ${locations(folder).server}
  }
}
`;

/**
 * Below `/`, answers are kept as they say themselves; below `/forced/`, whatever their Cache-Control says. The header
 * X-Proxy-Cache tells HIT or why not.
 */
const caching =
  (backend: string): Locations =>
  (folder) => ({
    http: `proxy_cache_path ${folder}/cache keys_zone=answers:1m;`,
    server: `
    proxy_cache answers;
    proxy_set_header Host $host;
    add_header X-Proxy-Cache $upstream_cache_status always;
    location / { proxy_pass ${backend}; }
    location /forced/ {
      proxy_ignore_headers Cache-Control;
      proxy_cache_valid 200 10m;
      proxy_pass ${backend}/;
    }`,
  });

/** docs/operations.md: the Host header and upgrades are passed on. */
const belowPath =
  (backend: string, path: string): Locations =>
  () => ({
    http: "map $http_upgrade $connection_upgrade { default upgrade; '' close; }",
    server: `
    location ${path}/ {
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_pass ${backend}/;
    }`,
  });

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

const start = async (locations: Locations): Promise<Proxy> => {
  requireBinary();
  const folder = mkdtempSync(join(tmpdir(), 'nginx-'));
  const port = await freePort();
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, configuration(folder, port, locations));
  const child = spawn(BINARY, ['-p', folder, '-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let faults = '';
  child.stderr.on('data', (chunk: Buffer) => (faults += chunk.toString()));
  const giveUpAt = Date.now() + START_TIMEOUT_MS;
  while (!(await isListening(port))) {
    if (child.exitCode !== null || Date.now() > giveUpAt) throw new Error(`nginx did not start: ${faults}`);
    await pause(20);
  }
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
};

/** In front of `backend`, an address without a slash at its end. */
export const startCachingProxy = (backend: string): Promise<Proxy> => start(caching(backend));

/** `backend` below `path`, such as `/x/y`, and nothing else. */
export const startPathProxy = (backend: string, path: string): Promise<Proxy> =>
  start(belowPath(backend, path));
