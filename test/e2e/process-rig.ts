/** A server of several processes, and which of them is which (Linux). */
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request, type IncomingHttpHeaders } from 'node:http';
import type { ChildProcess } from 'node:child_process';
import { expect } from 'vitest';

export const PATIENT = { timeout: 30_000, interval: 50 };

const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );

/** Process ids by name: `feeder`, `1`, `2` and so on. */
export const processesOf = ({ pid = 0 }: ChildProcess): Map<string, number> => {
  const named = childrenOf(pid).flatMap((child): [string, number][] => {
    try {
      const name = /MCDS_PROCESS=\{"name":"(\w+)"/.exec(readFileSync(`/proc/${child}/environ`, 'utf8'))?.[1];
      return name === undefined ? [] : [[name, child]];
    } catch {
      return [];
    }
  });
  return new Map(named);
};

export const isAlive = (pid: number): boolean => {
  try {
    // A process that nobody has waited for yet has no memory any more.
    return /^VmRSS/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

export interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Over a connection of its own, or over that of `agent`; rejects where it is cut, or after 30 s. */
export const get = (
  port: number,
  path: string,
  { headers = {}, agent = new Agent() }: { headers?: Record<string, string>; agent?: Agent } = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    request({ port, host: '127.0.0.1', path, agent, headers, timeout: PATIENT.timeout }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
      response.on('error', reject);
    })
      .on('timeout', function (this: { destroy(error: Error): void }) {
        this.destroy(new Error('no answer within 30 s'));
      })
      .on('error', reject)
      .end();
  });

/** Which process answered: its request ids begin with a text of its own. */
export const answeredBy = ({ headers }: Answer): string =>
  String(headers['x-request-id']).split('-', 1)[0] ?? '';

/** One answer of each process that serves: connections are handed out in turn. */
export const fromEach = async (
  { port }: { readonly port: number },
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer[]> => {
  const answers = new Map<string, Answer>();
  const more = async (): Promise<number> => {
    const answer = await get(port, path, { headers });
    return answers.set(answeredBy(answer), answer).size;
  };
  await expect.poll(more, PATIENT).toBe(2);
  return [...answers.values()];
};

export const killed = async (pid: number): Promise<void> => {
  process.kill(pid, 'SIGKILL');
  await expect.poll(() => isAlive(pid), { ...PATIENT, interval: 5 }).toBe(false);
};
