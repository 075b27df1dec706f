/** A certificate for 127.0.0.1 that vouches for itself: made anew by each test, so that no key lies about. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

export interface Identity {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

/** DER (ITU-T X.690): tag, length, content. */
const der = (tag: number, ...parts: readonly (Buffer | readonly number[])[]): Buffer => {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const { length } = content;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
};
const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts);
const oid = (...bytes: readonly number[]): Buffer => der(0x06, bytes);
const text = (tag: number, value: string): Buffer => der(tag, Buffer.from(value, 'ascii'));

const ECDSA_WITH_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
const NAME = sequence(der(0x31, sequence(oid(0x55, 0x04, 0x03), text(0x0c, 'simulated venue'))));
const VALIDITY = sequence(text(0x18, '20200101000000Z'), text(0x18, '21200101000000Z'));
const TRUE = der(0x01, [0xff]);

/** RFC 5280: it may vouch (for itself), and it stands for the address 127.0.0.1. */
const EXTENSIONS = der(
  0xa3,
  sequence(
    sequence(oid(0x55, 0x1d, 0x13), TRUE, der(0x04, sequence(TRUE))),
    sequence(oid(0x55, 0x1d, 0x11), der(0x04, sequence(der(0x87, [127, 0, 0, 1])))),
  ),
);

const unsigned = (publicKey: KeyObject): Buffer =>
  sequence(
    der(0xa0, der(0x02, [2])),
    der(0x02, [1]),
    ECDSA_WITH_SHA256,
    NAME,
    VALIDITY,
    NAME,
    publicKey.export({ type: 'spki', format: 'der' }),
    EXTENSIONS,
  );

export const selfSigned = (): Identity => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const body = unsigned(publicKey);
  const signature = der(0x03, [0], sign('sha256', body, privateKey));
  const base64 = sequence(body, ECDSA_WITH_SHA256, signature).toString('base64');
  const lines = (base64.match(/.{1,64}/g) ?? []).join('\n');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
};
