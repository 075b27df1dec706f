/** A process that a test holds: what it writes, the signals it gets, the codes it exits with. */
import { EventEmitter } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import type { ProgramProcess } from '../../src/app/program-process.js';

class Collected extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export class FakeProgram extends EventEmitter implements ProgramProcess {
  readonly argv: readonly string[];
  readonly stdin = new PassThrough();
  readonly stdout = new Collected();
  readonly stderr = new Collected();
  readonly exits: number[] = [];

  constructor(
    args: readonly string[],
    readonly env: Readonly<Record<string, string>> = {},
  ) {
    super();
    this.argv = ['node', 'cli.js', ...args];
  }

  exit(code: number): void {
    this.exits.push(code);
  }

  signal(name: NodeJS.Signals): void {
    this.emit(name, name);
  }
}
