import type { Combination } from './combinations.ts'
import {
  asCacheControl,
  dateOf,
  has,
  hasLife,
  initialAge,
  isDictionary,
  isHttpDate,
  isSound,
  isTimed,
  mapBoth,
  omit,
  UNKNOWN_TO_ORACLE,
  unstored,
  when,
  without,
  withoutContradictions,
} from './oracle-repair.ts'

/** Why http-cache-semantics 4.3.0 answers otherwise: what it must be told instead to come to the reading of `section`. */
export interface Fault {
  readonly name: string
  readonly section: string
  /** The combination as the oracle has to get it; the same object when this fault has nothing to do with it. */
  readonly repair: (combination: Combination) => Combination
}

/** In the order in which they are to be repaired. */
export const FAULTS: readonly Fault[] = [
  {
    name: 'knows no CDN-Cache-Control',
    section: 'RFC 9213 §2.2',
    repair: when(
      (c) => c.targeted.length > 0 && isDictionary(c.targeted),
      (c) => ({ ...c, targeted: [], answered: asCacheControl(c.targeted), answer: omit(c.answer, 'expires') }),
    ),
  },
  {
    name: 'tells directives apart by their case',
    section: 'RFC 9111 §5.2',
    repair: when(
      ({ asked, answered }) => /[A-Z]/.test([...asked, ...answered].map(({ name }) => name).join('')),
      (c) => mapBoth(c, (all) => all.map((one) => ({ ...one, name: one.name.toLowerCase() }))),
    ),
  },
  {
    name: 'splits quoted strings at their commas',
    section: 'RFC 9110 §5.6.4',
    repair: when(
      (c) => has(c.answered, 'ext'),
      (c) => ({ ...c, answered: without(c.answered, 'ext') }),
    ),
  },
  {
    name: 'takes the last of contradictory directives',
    section: 'RFC 9111 §4.2.1',
    repair: when(
      ({ asked, answered }) => [asked, answered].some((all) => withoutContradictions(all).length < all.length),
      (c) => mapBoth(c, withoutContradictions),
    ),
  },
  {
    name: 'lets a broken s-maxage share the answer to an authorized request',
    section: 'RFC 9111 §3.5',
    repair: when(
      ({ request, answered }) =>
        request['authorization'] !== undefined &&
        !has(answered, 'public') &&
        !has(answered, 'must-revalidate') &&
        answered.some((one) => one.name === 's-maxage' && !isSound(one)),
      unstored,
    ),
  },
  {
    name: 'reads seconds from what is no number',
    section: 'RFC 9111 §4.2.1',
    repair: when(
      ({ asked, answered }) => [...asked, ...answered].some((one) => isTimed(one) && !isSound(one)),
      (c) => mapBoth(c, (all) => all.map((one) => (isTimed(one) && !isSound(one) ? { ...one, rest: '=0' } : one))),
    ),
  },
  {
    name: 'has seconds without bound',
    section: 'RFC 9111 §1.2.2',
    repair: when(
      ({ asked, answered }) => [...asked, ...answered].some(({ rest }) => rest === '=99999999999'),
      (c) =>
        mapBoth(c, (all) => all.map((one) => (one.rest === '=99999999999' ? { ...one, rest: `=${2 ** 31}` } : one))),
    ),
  },
  {
    name: 'takes private and no-cache with a list for the whole answer',
    section: 'RFC 9111 §5.2.2.4, §5.2.2.7',
    repair: when(
      ({ answered }) => answered.some(({ name, rest }) => /^(?:private|no-cache)$/.test(name) && rest !== ''),
      (c) => ({
        ...c,
        answered: c.answered.filter(({ name, rest }) => !/^(?:private|no-cache)$/.test(name) || rest === ''),
      }),
    ),
  },
  {
    name: 'knows no must-understand',
    section: 'RFC 9111 §5.2.2.3',
    repair: when(
      (c) => has(c.answered, 'must-understand'),
      (c) => (c.status === 299 ? unstored(c) : { ...c, answered: without(c.answered, 'must-understand', 'no-store') }),
    ),
  },
  {
    name: 'believes in Pragma in an answer, and in a request beside Cache-Control',
    section: 'RFC 9111 §5.4',
    repair: when(
      ({ answer, request, asked }) =>
        answer['pragma'] !== undefined || (request['pragma'] !== undefined && asked.length > 0),
      (c) => ({
        ...c,
        answer: omit(c.answer, 'pragma'),
        request: c.asked.length > 0 ? omit(c.request, 'pragma') : c.request,
      }),
    ),
  },
  {
    name: 'stores answers to HEAD and POST, which this cache does not understand for storing',
    section: 'RFC 9111 §3',
    repair: when(({ method }) => method !== 'GET', unstored),
  },
  {
    name: 'stores an answer with Set-Cookie',
    section: 'RFC 9111 §7.3',
    repair: when(({ answer }) => answer['set-cookie'] !== undefined, unstored),
  },
  {
    name: 'stores what varies by everything, and can never be reused',
    section: 'RFC 9111 §4.1',
    repair: when(({ answer }) => answer['vary']?.includes('*') === true, unstored),
  },
  {
    name: 'stores 405, 414 and 501 without a word of the origin, as a cache may',
    section: 'RFC 9111 §4.2.2',
    repair: when((c) => [405, 414, 501].includes(c.status) && !hasLife(c), unstored),
  },
  {
    name: 'knows few final statuses',
    section: 'RFC 9111 §3',
    // One that it knows and that is not kept without a word of the origin either.
    repair: when(
      ({ status }) => UNKNOWN_TO_ORACLE.has(status),
      (c) => ({ ...c, status: 302 }),
    ),
  },
  {
    name: 'lets immutable prolong the life',
    section: 'RFC 8246 §2',
    repair: when(
      (c) => has(c.answered, 'immutable'),
      (c) => ({ ...c, answered: without(c.answered, 'immutable') }),
    ),
  },
  {
    name: 'reads dates that are no HTTP-dates',
    section: 'RFC 9111 §4.2, §5.3',
    repair: when(
      ({ answer }) =>
        ['expires', 'date', 'last-modified'].some((name) => answer[name] !== undefined && !isHttpDate(answer[name])),
      (c) => {
        const sound = Object.entries(c.answer).filter(
          ([name, text]) => !/^(?:date|last-modified)$/.test(name) || isHttpDate(text),
        )
        const answer = Object.fromEntries(sound)
        return {
          ...c,
          answer:
            answer['expires'] !== undefined && !isHttpDate(answer['expires']) ? { ...answer, expires: 'x' } : answer,
        }
      },
    ),
  },
  {
    name: 'reads an Age from what is no number',
    section: 'RFC 9111 §5.1',
    repair: when(
      ({ answer }) => answer['age'] !== undefined && !/^\d+(?:,|$)/.test(answer['age']),
      (c) => ({ ...c, answer: omit(c.answer, 'age') }),
    ),
  },
  {
    name: 'guesses a life without bound',
    section: 'RFC 9111 §4.2.2',
    repair: when(
      (c) => dateOf(c.answer['date']) - dateOf(c.answer['last-modified']) > 864_000_000,
      (c) => ({
        ...c,
        answer: { ...c.answer, 'last-modified': new Date(dateOf(c.answer['date']) - 864_000_000).toUTCString() },
      }),
    ),
  },
  {
    name: 'leaves Date and the time that the answer took out of its age',
    section: 'RFC 9111 §4.2.3',
    repair: when(
      (c) => initialAge(c) !== Number(c.answer['age']?.split(',')[0] ?? 0),
      (c) => ({ ...c, delay: 0, answer: { ...c.answer, age: String(initialAge(c)) } }),
    ),
  },
  {
    name: 'validates with must-revalidate and proxy-revalidate also while it is fresh',
    section: 'RFC 9111 §5.2.2.2, §5.2.2.8',
    repair: when(
      ({ answered }) => has(answered, 'must-revalidate') || has(answered, 'proxy-revalidate'),
      (c) => ({
        ...c,
        asked: without(c.asked, 'max-stale'),
        answered: without(c.answered, 'must-revalidate', 'proxy-revalidate', 'stale-while-revalidate'),
        // must-revalidate lets it be shared (RFC 9111 §3.5).
        request: has(c.answered, 'must-revalidate') ? omit(c.request, 'authorization') : c.request,
      }),
    ),
  },
  {
    name: 'serves an answer with no-cache stale, where that is allowed for others',
    section: 'RFC 9111 §5.2.2.4',
    repair: when(
      ({ answered }) => has(answered, 'no-cache'),
      (c) => ({
        ...c,
        asked: without(c.asked, 'max-stale'),
        answered: without(c.answered, 'stale-while-revalidate'),
      }),
    ),
  },
  {
    name: 'lets a client take an answer stale that has s-maxage',
    section: 'RFC 9111 §5.2.2.10',
    repair: when(
      ({ asked, answered }) => has(answered, 's-maxage') && has(asked, 'max-stale'),
      (c) => ({ ...c, asked: without(c.asked, 'max-stale') }),
    ),
  },
]
