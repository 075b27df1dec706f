import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { SETTINGS } from '../../../src/config/config.js';

const at = (file: string) => new URL(`../../../docker/${file}`, import.meta.url);
const read = (file: string) => readFileSync(at(file), 'utf8');

const port = z.string().regex(/^(\d[\d.]*:)?(\d+(-\d+)?|\$\{[A-Z_]+:-\d+\}):\d+$/);
const memory = z.string().regex(/^\d+[mg]$/);

/** What we use of https://github.com/compose-spec/compose-spec/blob/main/spec.md, and no member beyond it. */
const service = z.strictObject({
  image: z.string().regex(/^[\w./-]+(:(?!latest)[\w.-]+)?$/),
  build: z.strictObject({ context: z.string(), dockerfile: z.string() }).optional(),
  profiles: z.array(z.string()).optional(),
  init: z.boolean().optional(),
  user: z.string().optional(),
  command: z.array(z.string()).optional(),
  ports: z.array(port).optional(),
  env_file: z.array(z.strictObject({ path: z.string(), required: z.boolean() })).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  depends_on: z
    .union([
      z.array(z.string()),
      z.record(z.string(), z.strictObject({ condition: z.enum(['service_healthy', 'service_started']) })),
    ])
    .optional(),
  healthcheck: z
    .strictObject({
      test: z.array(z.string()),
      interval: z.string(),
      timeout: z.string(),
      retries: z.int(),
    })
    .optional(),
  volumes: z.array(z.string().regex(/^(\.\/[\w./-]+:\/[\w./-]+:ro|\w+:\/[\w./-]+)$/)).optional(),
  tmpfs: z.array(z.string().regex(/^\/\w+:size=\d+m(,mode=\d{4})?$/)).optional(),
  stop_grace_period: z
    .string()
    .regex(/^\d+s$/)
    .optional(),
  restart: z.literal('unless-stopped'),
  read_only: z.literal(true),
  cap_drop: z.tuple([z.literal('ALL')]),
  security_opt: z.tuple([z.literal('no-new-privileges:true')]),
  logging: z.strictObject({ driver: z.string(), options: z.record(z.string(), z.string()) }),
  pids_limit: z.int(),
  mem_limit: memory,
  cpus: z.number(),
});
const compose = z.strictObject({
  name: z.string(),
  'x-hardened': z.unknown(),
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.strictObject({})),
});

const { services, volumes } = compose.parse(parse(read('docker-compose.yml'), { merge: true }));
const all = Object.entries(services);

test('every service is bounded in memory, processes and log, and has a read-only file system', () => {
  // The schema above requires each of these members of each service.
  expect(all.map(([name]) => name)).toEqual(['server', 'redis', 'proxy', 'prometheus', 'grafana']);
});

test('without a profile only the server and Redis start', () => {
  expect(all.filter(([, { profiles }]) => profiles === undefined).map(([name]) => name)).toEqual([
    'server',
    'redis',
  ]);
});

test('images of others are tagged; only our own is built here', () => {
  for (const [name, { image, build }] of all) {
    if (name !== 'server') expect(image).toContain(':');
    expect(build === undefined).toBe(name !== 'server');
  }
  expect(existsSync(at(`../${services['server']?.build?.dockerfile ?? ''}`))).toBe(true);
});

test('the server waits for a healthy Redis, and the proxy for a healthy server', () => {
  expect(services['server']?.depends_on).toEqual({ redis: { condition: 'service_healthy' } });
  expect(services['proxy']?.depends_on).toEqual({ server: { condition: 'service_healthy' } });
  expect(services['redis']?.healthcheck?.test).toEqual(['CMD', 'redis-cli', 'ping']);
});

test('several servers can run: no fixed container name, and ports from a range', () => {
  expect(services['server']?.ports).toEqual(['${SERVER_PORTS:-8000}:8000']);
  expect(services['server']).not.toHaveProperty('container_name');
});

test('settings come from .env, but where Redis is and where to listen is the container’s own', () => {
  expect(services['server']?.env_file).toEqual([{ path: '.env', required: false }]);
  const own = services['server']?.environment ?? {};
  expect(own).toMatchObject({ PORT: '8000', HOST: '0.0.0.0', REDIS_URL: 'redis://redis:6379/0' });
  const known = SETTINGS.map(({ name }) => name);
  for (const name of Object.keys(own)) expect(known).toContain(name);
});

test('the server has longer to stop than it takes to drain', () => {
  expect(services['server']?.stop_grace_period).toBe('15s');
});

test('Redis keeps nothing on disk, evicts the least used and stays below its memory limit', () => {
  const { command = [], mem_limit } = services['redis']!;
  const option = (name: string) => command[command.indexOf(name) + 1];
  expect(option('--maxmemory-policy')).toBe('allkeys-lru');
  expect(option('--save')).toBe('');
  expect(option('--appendonly')).toBe('no');
  expect(Number.parseInt(option('--maxmemory')!)).toBeLessThan(Number.parseInt(mem_limit));
});

test('Redis, Prometheus and Grafana are not published to the network', () => {
  expect(services['redis']?.ports).toBeUndefined();
  for (const name of ['prometheus', 'grafana'])
    for (const published of services[name]?.ports ?? []) expect(published).toMatch(/^127\.0\.0\.1:/);
});

test('every file that is mounted exists, and every named volume is declared', () => {
  for (const mount of all.flatMap(([, one]) => one.volumes ?? [])) {
    const [from = ''] = mount.split(':');
    if (from.startsWith('./')) expect(existsSync(at(from)), from).toBe(true);
    else expect(Object.keys(volumes)).toContain(from);
  }
});

test('the proxy passes streams through unbuffered, replaces X-Forwarded-For and finds scaled servers by name', () => {
  const conf = read('nginx/proxy.conf');
  for (const directive of [
    'proxy_buffering off;',
    'proxy_set_header Upgrade $http_upgrade;',
    'proxy_set_header X-Forwarded-For $remote_addr;',
    'resolver 127.0.0.11',
    'set $upstream http://server:8000;',
    'listen 8080;',
  ])
    expect(conf).toContain(directive);
  expect(services['proxy']?.ports).toEqual(['${PROXY_PORT:-8080}:8080']);
  expect(conf.split('{').length).toBe(conf.split('}').length);
});
