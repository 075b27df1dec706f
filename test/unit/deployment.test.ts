// What can be checked of the container files and workflows without an engine. A job of the CI workflow builds and starts
// the image; hadolint and `docker compose config` judge the files there.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { SETTINGS } from '../../src/config/setting-names.js';

const ROOT = new URL('../../', import.meta.url);
const at = (path: string): string => fileURLToPath(new URL(path, ROOT));
const read = (path: string): string => readFileSync(at(path), 'utf8');

const compose = z.object({
  services: z.record(
    z.string(),
    z.looseObject({
      image: z.string(),
      profiles: z.array(z.string()).optional(),
      ports: z.array(z.string()).optional(),
      environment: z.record(z.string(), z.string()).optional(),
      volumes: z.array(z.string()).optional(),
      read_only: z.literal(true),
      cap_drop: z.tuple([z.literal('ALL')]),
      pids_limit: z.int(),
      mem_limit: z.string(),
      cpus: z.number(),
    }),
  ),
  volumes: z.record(z.string(), z.unknown()),
});

describe('docker compose', () => {
  const { services, volumes } = compose.parse(parse(read('docker/docker-compose.yml'), { merge: true }));
  const mounts = Object.values(services).flatMap((service) => service.volumes ?? []);

  test('bounds every service in memory, processes and processors, on a read-only file system', () => {
    // The schema demands it of each; this says that there are some.
    expect(Object.keys(services)).toEqual(
      expect.arrayContaining(['server', 'redis', 'proxy', 'prometheus', 'grafana']),
    );
  });

  test('starts only the server and Redis where no profile is named', () => {
    const plain = Object.entries(services).filter(([, { profiles }]) => profiles === undefined);
    expect(plain.map(([name]) => name)).toEqual(['server', 'redis']);
  });

  test('mounts files that exist and volumes that are declared', () => {
    for (const mount of mounts) {
      const [from = ''] = mount.split(':');
      if (from.startsWith('./')) expect(existsSync(at(`docker/${from}`)), from).toBe(true);
      else expect(Object.keys(volumes)).toContain(from);
    }
  });

  test('the proxy keeps metrics inside, asks no second server after a 503, and is the one that the server trusts', () => {
    const conf = read('docker/nginx/proxy.conf').replaceAll(/^ *#.*$/gm, '');
    expect(conf).toMatch(/location = \/metrics \{\s*return 404;\s*\}/);
    expect(conf).toMatch(/proxy_next_upstream error timeout;/);
    const addresses = z
      .looseObject({ networks: z.record(z.string(), z.object({ ipv4_address: z.string() })) })
      .parse(services['proxy']).networks;
    expect(Object.values(addresses).map(({ ipv4_address }) => ipv4_address)).toEqual([
      services['server']?.environment?.['TRUST_PROXY'],
    ]);
  });

  test('sets only variables that the server knows', () => {
    const known = SETTINGS.map(({ name }) => name);
    for (const name of Object.keys(services['server']?.environment ?? {})) expect(known).toContain(name);
  });

  test('publishes neither Redis nor the monitoring to the network', () => {
    expect(services['redis']?.ports).toBeUndefined();
    for (const name of ['prometheus', 'grafana'])
      for (const published of services[name]?.ports ?? []) expect(published).toMatch(/^127\.0\.0\.1:/);
  });
});

describe('the image', () => {
  const instructions = read('docker/Dockerfile')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => /^[A-Z]+ /.test(line));
  const copied = instructions
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(/\s+/).slice(1, -1));
  const isCopied = (path: string): boolean =>
    copied.some((from) => path === from || path.startsWith(`${from}/`));

  /** Files beside this one that it imports. */
  const importsOf = (path: string): string[] =>
    path.endsWith('.js')
      ? [...read(path).matchAll(/ from '\.\/(.*)'/g)].map(([, name = '']) => join(dirname(path), name))
      : [];

  /** What `npm run build` reads: files that its command names, and what tsconfig.build.json extends and includes. */
  const readByBuild = (): string[] => {
    const { scripts } = z
      .object({ scripts: z.record(z.string(), z.string()) })
      .parse(JSON.parse(read('package.json')));
    const commands = [scripts['prebuild'], scripts['build'], scripts['postbuild']].join(' ');
    const named = commands.split(/[\s&|;]+/).filter((word) => word !== '' && existsSync(at(word)));
    const { extends: parent, include } = z
      .object({ extends: z.string(), include: z.array(z.string()) })
      .parse(JSON.parse(read('tsconfig.build.json')));
    return [
      'package.json',
      'package-lock.json',
      ...named,
      ...named.flatMap(importsOf),
      parent.replace('./', ''),
      ...include,
    ];
  };

  test('copies every path that its build reads', () => {
    const paths = readByBuild();
    expect(paths).toEqual(
      expect.arrayContaining(['src', 'tsconfig.json', 'scripts/after-build.js', 'scripts/bundle.js']),
    );
    expect(paths.filter((path) => !isCopied(path))).toEqual([]);
  });

  test('copies only paths that .dockerignore lets into the build', () => {
    const [everything, ...allowed] = read('docker/Dockerfile.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(everything).toBe('*');
    expect(allowed.map((line) => line.replace(/^!/, '')).toSorted()).toEqual(copied.toSorted());
  });

  test('runs as a user without rights, in exec form, and installs without scripts of packages', () => {
    const last = instructions.slice(instructions.findLastIndex((line) => line.startsWith('FROM ')));
    expect(last.filter((line) => line.startsWith('USER '))).toEqual(['USER node']);
    expect(last.at(-1)).toMatch(/^ENTRYPOINT \["node", /);
    for (const line of instructions.filter((one) => /npm (ci|prune)/.test(one)))
      expect(line).toContain('--ignore-scripts');
  });

  test('starts the program, keeps candles in a volume that its user owns, and compose names that volume', () => {
    expect(instructions.at(-1)).toBe('ENTRYPOINT ["node", "dist/cli.js"]');
    expect(instructions.some((line) => /^ENV .*STORE_URL=sqlite:\/data\/candles\.db$/.test(line))).toBe(true);
    const made = instructions.indexOf('RUN mkdir /data && chown node:node /data');
    expect(made).toBeGreaterThan(0);
    expect(instructions.indexOf('VOLUME /data')).toBeGreaterThan(made);
    expect(read('docker/docker-compose.yml')).toContain("volumes: ['candles:/data']");
  });
});

describe('workflows', () => {
  const workflow = z.object({
    on: z.unknown(),
    permissions: z.record(z.string(), z.string()),
    jobs: z.record(
      z.string(),
      z.looseObject({
        'timeout-minutes': z.number(),
        steps: z.array(z.union([z.looseObject({ uses: z.string() }), z.looseObject({ run: z.string() })])),
      }),
    ),
  });
  const files = readdirSync(at('.github/workflows/'));

  test.each(files)(
    '%s names permissions, bounds each job in time and pins each action to a commit',
    (file) => {
      const { permissions, jobs } = workflow.parse(parse(read(`.github/workflows/${file}`)));
      expect(Object.keys(permissions)).not.toEqual([]);
      for (const { steps } of Object.values(jobs))
        for (const step of steps)
          if ('uses' in step) expect(step.uses).toMatch(/^actions\/[\w-]+@[\da-f]{40}$/);
    },
  );
});
