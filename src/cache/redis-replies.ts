/**
 * Redis' replies as bytes (RESP 2, https://redis.io/docs/latest/develop/reference/protocol-spec/), read only so far as to tell
 * them from what is none. ioredis takes any byte that is a type in RESP 3 for a reply: of random bytes one in 256 is a null, and
 * a null for which no command waits ends the process.
 */

/**
 * Simple strings and errors, integers, lengths of bulk strings (512 MB at most) and of arrays; -1: null. ioredis makes room for a
 * whole array when it reads its length.
 */
const LINE = /^(?:[+-][^\r\n]*|:[+-]?\d{1,19}|\$(?:-1|\d{1,9})|\*(?:-1|\d{1,6}))\r\n$/;
const TYPES = /^[-+:$*]/;
/** Bytes; an error's text is the longest there is. */
const MAX_LINE = 65_536;
/** Arrays within arrays; scripts answer with two. */
const MAX_DEPTH = 8;
const NEWLINE = 0x0a;

export interface HeardReplies {
  /** Replies that ended. */
  readonly whole: number;
  /** Of these the nulls. */
  readonly nulls: number;
}

/** Of one connection, from its first byte on. */
export class RedisReplies {
  /** The beginning of a line whose end is to come. */
  #line = '';
  /** Bytes to come of a bulk string and its line end; null: between two parts. */
  #body: number | null = null;
  /** Parts to come of each array that is not whole, the outermost first. */
  readonly #arrays: number[] = [];

  /** null: these bytes are no replies, and what comes after them can't be told either. */
  read(chunk: Buffer): HeardReplies | null {
    const heard = { whole: 0, nulls: 0 };
    for (let at = 0; at < chunk.length;) {
      if (this.#body !== null) {
        const taken = Math.min(this.#body, chunk.length - at);
        at += taken;
        this.#body -= taken;
        if (this.#body > 0) break;
        this.#body = null;
        this.#ended(heard, false);
        continue;
      }
      const newline = chunk.indexOf(NEWLINE, at);
      const end = newline === -1 ? chunk.length : newline + 1;
      this.#line += chunk.toString('latin1', at, Math.min(end, at + MAX_LINE));
      at = end;
      if (newline === -1 ? !this.#maybeLine() : !this.#takeLine(heard)) return null;
    }
    return heard;
  }

  #maybeLine(): boolean {
    return TYPES.test(this.#line) && this.#line.length < MAX_LINE;
  }

  #takeLine(heard: { whole: number; nulls: number }): boolean {
    const line = this.#line;
    this.#line = '';
    if (!LINE.test(line)) return false;
    const length = Number(line.slice(1));
    if (line.startsWith('$') && length >= 0) this.#body = length + 2;
    else if (line.startsWith('*') && length > 0) this.#arrays.push(length);
    else this.#ended(heard, /^[$*]-1/.test(line));
    return this.#arrays.length <= MAX_DEPTH;
  }

  /** A part, and each array that it was the last part of. */
  #ended(heard: { whole: number; nulls: number }, isNull: boolean): void {
    for (let left = this.#arrays.pop(); left !== undefined; left = this.#arrays.pop()) {
      if (left > 1) {
        this.#arrays.push(left - 1);
        return;
      }
      isNull = false;
    }
    heard.whole += 1;
    if (isNull) heard.nulls += 1;
  }
}
