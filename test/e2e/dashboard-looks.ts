/** The page as axe and a reader see it, in the state that it is in: both themes, on a phone and on a desk. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { extent } from '../support/extent.js';
import { axeFindings, type OpenPage } from './dashboard-rig.js';

/** Kept as CI artefacts. */
const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url));
mkdirSync(ARTIFACTS, { recursive: true });

const PHONE = { width: 390, height: 844 };
const DESK = { width: 1440, height: 900 };
const ALL = (['light', 'dark'] as const).flatMap((colorScheme) =>
  [PHONE, DESK].map((viewport) => ({ colorScheme, viewport })),
);
/** In the short form each look once. */
const SHORT = { empty: 1, gap: 2, live: 3, stale: 0 } as const;

export const expectAccessible = async ({ page }: OpenPage, state: keyof typeof SHORT): Promise<void> => {
  for (const { colorScheme, viewport } of extent({
    short: ALL.slice(SHORT[state], SHORT[state] + 1),
    long: ALL,
  })) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    expect(await axeFindings(page), `${state} ${colorScheme} ${viewport.width}`).toEqual([]);
    await page.screenshot({ path: `${ARTIFACTS}dashboard-${state}-${colorScheme}-${viewport.width}.png` });
  }
};
