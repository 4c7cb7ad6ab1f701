/**
 * Three references: the ids of the sentencepiece library for T5 (shared fixtures) and for three small models
 * trained with it (`sentencepiece.json.golden`), and a float64 search over all segmentations.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { seeded } from '@dwm/core-tensor/testing';
import { describe, expect, it } from 'vitest';
import { checkT5Tokens } from '../../tests/fixtures/t5-tokens.ts';
import { readSpieceModel } from './spiece-model.ts';
import { T5Tokenizer } from './t5-tokenizer.ts';
import type { UnigramSpec } from './unigram-spec.ts';

type VocabEntry = [piece: string, score: number];

const SPECIAL: VocabEntry[] = [
  ['<pad>', 0],
  ['</s>', 0],
  ['<unk>', 0],
];
const COLLAPSE_SPACES = { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' };

function added(id: number, content: string, strips = false) {
  return {
    id,
    content,
    single_word: false,
    lstrip: strips,
    rstrip: strips,
    normalized: false,
    special: true,
  };
}

/** A tokenizer.json with `<pad>`, `</s>`, `<unk>` as ids 0 to 2 and then the given pieces. */
function tokenizerJson(vocab: VocabEntry[], extra: object = {}): string {
  return JSON.stringify({
    version: '1.0',
    added_tokens: SPECIAL.map(([content], id) => added(id, content)),
    normalizer: COLLAPSE_SPACES,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' },
    model: { type: 'Unigram', unk_id: 2, vocab: [...SPECIAL, ...vocab] },
    ...extra,
  });
}

function ids(tokenizer: T5Tokenizer, text: string): number[] {
  return [...tokenizer.encode(text, { maxLength: 1_000_000, pad: false }).ids];
}

describe('a vocabulary made by hand', () => {
  // ▁=3 a=4 b=5 ab=6 ▁a=7 ba=8
  const vocab: VocabEntry[] = [
    ['▁', -2],
    ['a', -3],
    ['b', -3.5],
    ['ab', -4],
    ['▁a', -3.25],
    ['ba', -6],
  ];
  const tokenizer = T5Tokenizer.fromTokenizerJson(tokenizerJson(vocab), 'tokenizer.json');

  it('takes the segmentation with the largest sum of scores', () => {
    // ▁ab: ▁ + ab = -6 beats ▁a + b = -6.75 and ▁ + a + b = -8.5.
    expect(ids(tokenizer, 'ab')).toEqual([3, 6, 1]);
    // ▁aba: ▁ + ab + a = -9 beats ▁a + ba = -9.25.
    expect(ids(tokenizer, 'aba')).toEqual([3, 6, 4, 1]);
  });

  it('fuses a run of unknown characters, and only a run', () => {
    expect(ids(tokenizer, 'xyz')).toEqual([3, 2, 1]);
    expect(ids(tokenizer, 'x🖐a語')).toEqual([3, 2, 4, 2, 1]);
    expect(ids(tokenizer, 'x y')).toEqual([3, 2, 3, 2, 1]);
  });

  it('collapses white space and gives just the end token for none but white space', () => {
    expect(ids(tokenizer, '  b   b ')).toEqual([3, 5, 3, 5, 1]);
    expect(ids(tokenizer, '   ')).toEqual([1]);
    expect(ids(tokenizer, '')).toEqual([1]);
  });

  it('agrees with a float64 search over all segmentations', () => {
    const next = seeded(11);
    const letters = ['a', 'b', 'c', 'é'];
    for (let round = 0; round < 20; round++) {
      const pieces = new Map<string, number>([['▁', -1 - next()]]);
      for (let i = 0; i < 25; i++) {
        const length = 1 + Math.floor(next() * 4);
        const text = Array.from({ length }, () => letters[Math.floor(next() * letters.length)]).join('');
        pieces.set((next() < 0.3 ? '▁' : '') + text, Math.fround(-1 - 9 * next()));
      }
      const random = T5Tokenizer.fromTokenizerJson(tokenizerJson([...pieces]), 'tokenizer.json');
      const idOf = new Map([...SPECIAL, ...pieces].map(([piece], id) => [piece, id]));
      for (let i = 0; i < 10; i++) {
        const length = 1 + Math.floor(next() * 9);
        const text = Array.from({ length }, () => letters[Math.floor(next() * letters.length)]).join('');
        expect(ids(random, text)).toEqual([...bestOfAll(`▁${text}`, pieces, idOf), 1]);
      }
    }
  });

  /** Ids of the best of all ways to cut `text` into pieces and single unknown characters. */
  function bestOfAll(text: string, pieces: Map<string, number>, idOf: Map<string, number>): number[] {
    const unknownScore = Math.min(...pieces.values()) - 10;
    let best = Number.NEGATIVE_INFINITY;
    let bestIds: number[] = [];
    const search = (rest: string, score: number, path: number[]): void => {
      if (rest === '' && score > best) [best, bestIds] = [score, path];
      for (let length = 1; length <= rest.length; length++) {
        const head = rest.slice(0, length);
        const known = pieces.get(head);
        if (known !== undefined) search(rest.slice(length), score + known, [...path, idOf.get(head)!]);
        else if (length === 1) search(rest.slice(length), score + unknownScore, [...path, 2]);
      }
    };
    search(text, 0, []);
    return bestIds.filter((id, i) => id !== 2 || bestIds[i - 1] !== 2);
  }

  it('cuts, ends and pads', () => {
    const cut = tokenizer.encode('b b b', { maxLength: 4 });
    expect(cut).toEqual({ ids: Int32Array.of(3, 5, 3, 1), tokenCount: 7, truncated: true });
    const padded = tokenizer.encode('b', { maxLength: 5 });
    expect(padded).toEqual({ ids: Int32Array.of(3, 5, 1, 0, 0), tokenCount: 3, truncated: false });
    expect(tokenizer.attentionMask(padded.ids)).toEqual(Int32Array.of(1, 1, 1, 0, 0));
    expect(tokenizer.encode('b').ids.length).toBe(226);
    expect(tokenizer.encode('b', { maxLength: 1, pad: false }).ids).toEqual(Int32Array.of(1));
    for (const maxLength of [0, -1, 2.5, Number.NaN]) {
      expect(() => tokenizer.encode('b', { maxLength })).toThrow(InvalidArgumentError);
    }
  });

  it('matches special tokens in the raw text and ends only once', () => {
    expect(ids(tokenizer, 'b</s>')).toEqual([3, 5, 1]);
    expect(ids(tokenizer, 'b</s>b')).toEqual([3, 5, 1, 3, 5, 1]);
    expect(ids(tokenizer, 'b<pad> <unk>')).toEqual([3, 5, 0, 2, 1]);
    const mask = tokenizer.attentionMask(tokenizer.encode('<pad>b', { maxLength: 6 }).ids);
    expect(mask).toEqual(Int32Array.of(1, 1, 1, 1, 0, 0));
    // A text of exactly maxLength tokens with its own end token loses nothing.
    expect(tokenizer.encode('b</s>', { maxLength: 3 }).truncated).toBe(false);
    const longest = JSON.parse(tokenizerJson([['▁', -1]])) as { added_tokens: object[] };
    longest.added_tokens.push(added(4, '<x'), added(5, '<x>', true), added(6, '.*'));
    const overlapping = T5Tokenizer.fromTokenizerJson(JSON.stringify(longest), 'tokenizer.json');
    expect(ids(overlapping, '<x><x.*')).toEqual([5, 4, 6, 1]);
    expect(overlapping.vocabSize).toBe(7);
  });

  it('decodes for people', () => {
    expect(tokenizer.decode(tokenizer.encode('ab  b').ids)).toBe('ab b');
    expect(tokenizer.decode([3, 2, 4, 1, 99])).toBe(' \u2047 a<99>');
  });
});

describe('models trained by the sentencepiece library', () => {
  interface Golden {
    models: Record<string, { base64: string; cases: { text: string; ids: number[] }[] }>;
  }
  const golden = JSON.parse(
    readFileSync(join(import.meta.dirname, 'sentencepiece.json.golden'), 'utf8'),
  ) as Golden;

  // userdef: user-defined and control symbols. bytes: byte fallback, no dummy prefix, white space kept.
  // suffix: white space as suffix, pad/eos/unk = 3/2/0.
  it.each(Object.keys(golden.models))('%s', (name) => {
    const { base64, cases } = golden.models[name];
    const tokenizer = T5Tokenizer.fromSpieceModel(Buffer.from(base64, 'base64'), name);
    expect(tokenizer.padId).toBe(name === 'suffix' ? 3 : 0);
    for (const { text, ids: expected } of cases) {
      expect(ids(tokenizer, text), JSON.stringify(text)).toEqual([...expected, tokenizer.eosId]);
    }
    if (name === 'bytes') {
      const [text] = ['右手で  赤い\u{1f590}'];
      expect(tokenizer.decode(ids(tokenizer, text))).toBe(text);
    }
  });

  it('numbers the sentinels backwards from the end, and has none if told so', () => {
    const bytes = Buffer.from(golden.models.userdef.base64, 'base64');
    const t5 = T5Tokenizer.fromSpieceModel(bytes, 'spiece.model');
    const plain = T5Tokenizer.fromSpieceModel(bytes, 'spiece.model', 0);
    expect(t5.vocabSize).toBe(plain.vocabSize + 100);
    expect(ids(t5, '<extra_id_0> <extra_id_99>')).toEqual([t5.vocabSize - 1, plain.vocabSize, 1]);
    expect(Math.max(...ids(plain, '<extra_id_0>'))).toBeLessThan(plain.vocabSize);
  });

  it('says in one line what is wrong with a file', () => {
    const message = (make: () => unknown): string => {
      try {
        make();
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidFileError);
        expect((error as Error).message).not.toContain('\n');
        return (error as Error).message;
      }
      throw new Error('accepted');
    };
    const bytes = Buffer.from(golden.models.userdef.base64, 'base64');
    const spiece = (data: Uint8Array) => message(() => T5Tokenizer.fromSpieceModel(data, 'spiece.model'));
    expect(spiece(bytes.subarray(0, 100))).toMatch(/^spiece\.model: .*claims \d+ bytes, \d+ are left/);
    expect(spiece(new Uint8Array(0))).toContain('pieces is empty');
    expect(spiece(Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f))).toContain('exceeds 2 GiB');
    expect(spiece(new TextEncoder().encode('<!DOCTYPE html>'))).toContain('protobuf');
    const piece = (text: string, type: number) => [
      0x0a,
      4 + text.length,
      0x0a,
      text.length,
      ...Buffer.from(text),
      0x18,
      type,
    ];
    expect(spiece(Uint8Array.from([...piece('a', 1), ...piece('a', 1)]))).toContain('repeats the piece "a"');
    expect(spiece(Uint8Array.from(piece('a', 1)))).toContain('0 of type UNKNOWN');
    expect(spiece(Uint8Array.from(piece('<unk>', 2)))).toContain('trainer_spec.eos_id');
    expect(spiece(Uint8Array.from([...piece('<unk>', 2), 0x12, 2, 0x18, 2]))).toContain('model_type is BPE');

    const json = (text: string) => message(() => T5Tokenizer.fromTokenizerJson(text, 'tokenizer.json'));
    expect(json('{"model":')).toContain('not JSON');
    expect(json('{"model":{"type":"BPE"}}')).toContain('model.type');
    expect(json(tokenizerJson([['a', -1]], { normalizer: { type: 'Lowercase' } }))).toContain(
      'normalizer.type',
    );
    expect(
      json(
        tokenizerJson([
          ['a', -1],
          ['a', -2],
        ]),
      ),
    ).toContain('repeats the piece');
    const charsmap = (data: string) => ({ normalizer: { type: 'Precompiled', precompiled_charsmap: data } });
    expect(json(tokenizerJson([['a', -1]], charsmap('*')))).toContain('not base64');
    expect(json(tokenizerJson([['a', -1]], charsmap('/////w==')))).toContain('claims a trie');
  });
});

const shared = process.env.DWM_SHARED ?? resolve(import.meta.dirname, '../../../../../shared');
const tokenizerDir = join(shared, 'fixtures/t5_tokenizer');

describe.skipIf(!existsSync(tokenizerDir))('T5 v1.1 (skipped, no shared data)', () => {
  const load = () => new Uint8Array(readFileSync(join(tokenizerDir, 'spiece.model')));

  /** The tokenizer.json that Hugging Face's converter makes of a T5 model. */
  function asTokenizerJson(spec: UnigramSpec, normalizer: object | null, preTokenizer: object): string {
    const sentinels: VocabEntry[] = Array.from({ length: 100 }, (_, i) => [`<extra_id_${99 - i}>`, 0]);
    const reserved = SPECIAL.map(([content], id) => added(id, content));
    return JSON.stringify({
      added_tokens: [...reserved, ...sentinels.map(([content], i) => added(32_000 + i, content, true))],
      normalizer,
      pre_tokenizer: preTokenizer,
      model: {
        type: 'Unigram',
        unk_id: 2,
        vocab: [...spec.pieces.map(({ text, score }): VocabEntry => [text, score]), ...sentinels],
      },
    });
  }

  it('gives the ids of sentencepiece 0.2.0', async () => {
    const checks = await checkT5Tokens(join(shared, 'fixtures/t5_tokens'), tokenizerDir);
    expect(checks.length).toBe(18);
    expect(checks.filter(({ error, tolerance }) => error > tolerance)).toEqual([]);
  });

  it('gives the same ids from tokenizer.json, as written by old and by new converters', () => {
    const spec = readSpieceModel(load(), 'spiece.model', 100);
    const fromSpiece = T5Tokenizer.fromSpieceModel(load(), 'spiece.model');
    const charsmap = {
      type: 'Precompiled',
      precompiled_charsmap: Buffer.from(spec.normalizer.precompiledCharsmap).toString('base64'),
    };
    const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' };
    const strip = { type: 'Strip', strip_left: false, strip_right: true };
    const fromJson = [
      asTokenizerJson(spec, charsmap, {
        type: 'Sequence',
        pretokenizers: [
          { type: 'WhitespaceSplit' },
          { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
        ],
      }),
      asTokenizerJson(
        spec,
        { type: 'Sequence', normalizers: [charsmap, strip, { ...COLLAPSE_SPACES, content: '▁' }] },
        metaspace,
      ),
    ].map((text) => T5Tokenizer.fromTokenizerJson(text, 'tokenizer.json'));

    const next = seeded(5);
    const alphabet = [
      'a',
      'the ',
      ' ',
      '  ',
      '\u3000',
      '\t',
      'é',
      'e\u0301',
      'ﬁ',
      'ﷺ',
      '語',
      '🖐️',
      '\u200b',
      '\ud800',
    ];
    alphabet.push('</s>', '<extra_id_7>', '＜', 'か\u3099', 'Ⅷ', '\u0000', '▁', 'hand');
    const texts = ['＜/s＞', 'pour <extra_id_0> the </s> cup </s>'];
    for (let i = 0; i < 300; i++) {
      const length = Math.floor(next() * 20);
      texts.push(Array.from({ length }, () => alphabet[Math.floor(next() * alphabet.length)]).join(''));
    }
    for (const text of texts) {
      const expected = ids(fromSpiece, text);
      for (const tokenizer of fromJson) expect(ids(tokenizer, text), JSON.stringify(text)).toEqual(expected);
    }
    expect(fromSpiece.vocabSize).toBe(32_100);
    expect(fromJson[0].vocabSize).toBe(32_100);
  });

  it('takes 10,000 words and one word of 100,000 letters in under a second of processor time', () => {
    const tokenizer = T5Tokenizer.fromSpieceModel(load(), 'spiece.model');
    for (const text of ['my right hand grasps the yellow cushion and '.repeat(1_250), 'a'.repeat(100_000)]) {
      const before = process.cpuUsage();
      const { ids, tokenCount, truncated } = tokenizer.encode(text);
      expect(process.cpuUsage(before).user).toBeLessThan(1_000_000);
      expect(ids.length).toBe(226);
      expect(ids[225]).toBe(1);
      expect(tokenCount).toBeGreaterThan(10_000);
      expect(truncated).toBe(true);
    }
  });

  it('decodes what it encoded', () => {
    const tokenizer = T5Tokenizer.fromSpieceModel(load(), 'spiece.model');
    const text = "I'm standing in front of a dresser, 50% café.";
    expect(tokenizer.decode(tokenizer.encode(text).ids)).toBe(text);
  });

  it('ends in an error or in ids for damaged files', () => {
    const good = load();
    const attempt = (bytes: Uint8Array): boolean => {
      try {
        const tokenizer = T5Tokenizer.fromSpieceModel(bytes, 'spiece.model');
        expect(tokenizer.encode('My hand ﬁnds the ｃup 語 e\u0301').ids.length).toBe(226);
        return true;
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidFileError);
        expect((error as Error).message).not.toContain('\n');
        return false;
      }
    };
    // Only a cut between two top-level fields can pass, and then the reserved pieces or the charsmap decide.
    for (let size = 0; size < good.length; size += 4_001) attempt(good.subarray(0, size));
    expect(attempt(good)).toBe(true);

    const next = seeded(17);
    let rejected = 0;
    for (let i = 0; i < 30; i++) {
      const bytes = good.slice();
      for (let flips = 0; flips < 1 + i; flips++) {
        bytes[Math.floor(next() * bytes.length)] ^= 1 << Math.floor(next() * 8);
      }
      if (!attempt(bytes)) rejected++;
    }
    expect(rejected).toBeGreaterThan(0);
    // Only the character map: its trie and offsets are followed while encoding.
    const { precompiledCharsmap } = readSpieceModel(good, 'spiece.model', 0).normalizer;
    const head = Buffer.from(good).indexOf(Buffer.from(precompiledCharsmap));
    for (let i = 0; i < 10; i++) {
      const bytes = good.slice();
      for (let flips = 0; flips < 20_000; flips++) {
        bytes[head + Math.floor(next() * precompiledCharsmap.length)] = Math.floor(next() * 256);
      }
      attempt(bytes);
    }
  }, 60_000);
});
