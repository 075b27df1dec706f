/** The names of all settings, and variables that are probably meant to be one of them. */
import { editDistance } from '../lib/edit-distance.js';
import { environment } from './environment.js';
import type { Variables } from './store-settings.js';

/** Name and description of every setting; .env.example is tested against it. */
export const SETTINGS: readonly { readonly name: string; readonly description: string }[] = Object.entries(
  environment.shape,
).map(([name, schema]) => ({ name, description: schema.description ?? '' }));

/** Not ours alone: upper or lower case, as everywhere. */
export const PROXY_VARIABLES = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'] as const;

/** Variables further than this from the name of a setting are somebody else's. */
const MAX_SETTING_TYPOS = 2;
/** Within that distance of HOST or PORT, and in nearly every environment. */
const ORDINARY_VARIABLES: ReadonlySet<string> = new Set(['HOME', 'ROOT']);

/** Variables that are no settings but are spelled nearly like one: likely typing errors, which would pass unnoticed. */
export const misspelledSettings = (
  env: Variables,
): readonly { readonly variable: string; readonly meant: string }[] => {
  const settings = [...SETTINGS.map(({ name }) => name), ...PROXY_VARIABLES];
  const known = new Set([...settings, ...PROXY_VARIABLES.map((name) => name.toLowerCase())]);
  return Object.keys(env).flatMap((variable) => {
    const name = variable.toUpperCase();
    if (known.has(variable) || ORDINARY_VARIABLES.has(name)) return [];
    const [nearest] = settings
      .map((setting) => ({ setting, distance: editDistance(name, setting, MAX_SETTING_TYPOS) }))
      .filter(({ distance }) => distance <= MAX_SETTING_TYPOS)
      .sort((a, b) => a.distance - b.distance);
    return nearest === undefined ? [] : [{ variable, meant: nearest.setting }];
  });
};
