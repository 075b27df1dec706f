/**
 * What the words of a refusal mean, where status and CCXT's class leave it open: the text of a JSON error or of a block
 * page. Pure.
 */

/** Body text that is searched for words; block pages and JSON errors say it at their start. */
const SEARCHED_LENGTH = 4096;

/** Scripts and tags hold words such as `location` that nobody reads. */
const readable = (body: string): string =>
  body
    .slice(0, SEARCHED_LENGTH)
    .replace(/<(script|style)\b[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<[^>]*>/g, ' ');

const PLACE =
  /\b(?:country|countries|regions?|jurisdictions?|territor(?:y|ies)|restricted locations?|(?:your|this|the) (?:current )?location|geo[- ]?(?:block|restrict|fenc)\w*)\b/i;

const TOO_FREQUENT =
  /\btoo (?:frequent|many (?:requests?|visits?|api|calls?|connections?)|much (?:traffic|request))|\brate ?-?_?limit|\bratelimit|\baccess frequen|\bfrequen(?:cy|tly)\b|request limit|throttl|\b(?:ip|address)\b[^.]{0,40}\bban(?:ned)?\b|\bban(?:ned)? until\b|temporar\w+ (?:ban|lock)\w*/i;

const REFUSED =
  /\b(?:invalid|illegal|unknown|unsupported|malformed|missing|required|no such|bad request|not (?:found|exist\w*|supported|allowed|valid|recogni[sz]ed)|(?:does|do|did)(?: not|n't) exist|must (?:be|have|not)|parameters?)\b/i;
/** A server that says so has not understood anything. */
const BROKEN =
  /\b(?:internal|unavailable|time-?d?[ -]?out|overload\w*|maintenance|again|later|temporar\w+|busy|gateway|upstream|exception|panic)\b/i;

export const isMaintenance = (body: string): boolean => /maintenance/i.test(readable(body));

/** The venue does not serve the place that the request came from. */
export const namesPlace = (body: string): boolean => PLACE.test(readable(body));

/** Too many requests, or a ban for them. */
export const saysTooFrequent = (body: string): boolean => TOO_FREQUENT.test(readable(body));

/** The venue has understood the request and will not have it, whatever its status says. */
export const isWordedRefusal = (body: string): boolean => {
  const text = readable(body);
  return REFUSED.test(text) && !BROKEN.test(text);
};
