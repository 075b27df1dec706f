/**
 * How much a measured test does: what shows the behaviour in `npm test`, all that the product promises in
 * `npm run test:slow`, which sets SLOW_TESTS. What is asserted is the same.
 */
const IS_SLOW = process.env['SLOW_TESTS'] === '1';

export const extent = <T>(sizes: { readonly short: T; readonly long: T }): T =>
  IS_SLOW ? sizes.long : sizes.short;
