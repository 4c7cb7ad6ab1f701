import { filesFolder } from '@dwm/core-tensor/files';
import { expect, test } from 'vitest';
import { madeUpVocabulary } from './testing.ts';
import { CLIPTokenizer } from './tokenizer.ts';
import { readCLIPTokenizer } from './tokenizer-files.ts';

const { ids: vocabulary, merges } = madeUpVocabulary();
const tokenizer = new CLIPTokenizer({ file: 'vocab.json', ids: vocabulary, merges });
const names = new Map(Object.entries(vocabulary).map(([token, id]) => [id, token]));

/** Tokens between start and end. */
const tokens = (text: string) => {
  const { ids } = tokenizer.encode(text, 77);
  expect([ids[0], ids.at(-1)]).toEqual([194, 195]);
  return [...ids.subarray(1, -1)].map((id) => names.get(id)).join(' ');
};

test.each([
  ['the open drawer', 'the</w> open</w> dr a w e r</w>'],
  // Case and white space do not matter, the no-break space's neither.
  ['  The\tOPEN\n \u00a0drawer ', 'the</w> open</w> dr a w e r</w>'],
  // Joined in the order of the list: "t h" before anything with "e", and a word's end is part of its last byte.
  ['then', 'th en</w>'],
  ['there', 'th e r e</w>'],
  ['opop op', 'op o p</w> o p</w>'],
  ["it's 42, isn't?!", "i t</w> ' s</w> 4</w> 2</w> ,</w> i s n</w> ' t</w> ? !</w>"],
  ["they'll", "th e y</w> ' l l</w>"],
  ['<|startoftext|>op<|endoftext|>', '<|startoftext|> o p</w> <|endoftext|>'],
  ['', ''],
])('%j', (text, expected) => {
  expect(tokens(text)).toBe(expected);
});

test('a text is cut before its end token, which stays', () => {
  const whole = tokenizer.encode('the the open', 5);
  expect(whole).toEqual({ ids: Uint32Array.of(194, 189, 189, 192, 195), tokenCount: 5 });
  const cut = tokenizer.encode('the the open', 4);
  expect(cut).toEqual({ ids: Uint32Array.of(194, 189, 189, 195), tokenCount: 5 });
});

test('other letters are their UTF-8 bytes, composed first; a byte without a token is the unknown one, the end', () => {
  // é is C3 A9, shown as Ã and ©; 開 is E9 96 8B, of which 96 and 8B are not visible and become U+0138 and U+012D.
  const ids = {
    Ã: 0,
    '©</w>': 1,
    'Ã©</w>': 2,
    é: 3,
    ĸ: 4,
    'ĭ</w>': 5,
    '<|startoftext|>': 6,
    '<|endoftext|>': 7,
  };
  const bytes = new CLIPTokenizer({ file: 'v', ids, merges: ['Ã ©</w>'] });
  expect([...bytes.encode('É e\u0301 開 x', 77).ids]).toEqual([6, 2, 2, 3, 4, 5, 7, 7]);
  expect(bytes.size).toBe(8);
});

test('tokenizer.json says the same, its merges as text or as pairs', async () => {
  const text = "The drawer's open!";
  const { '<|startoftext|>': start, '<|endoftext|>': end, ...vocab } = vocabulary;
  for (const written of [merges, merges.map((pair) => pair.split(' '))]) {
    const json = {
      version: '1.0',
      added_tokens: [
        { id: start, content: '<|startoftext|>', special: true },
        { id: end, content: '<|endoftext|>', special: true },
      ],
      model: { type: 'BPE', end_of_word_suffix: '</w>', unk_token: '<|endoftext|>', vocab, merges: written },
    };
    const folder = filesFolder([new File([JSON.stringify(json)], 'tokenizer.json')]);
    expect((await readCLIPTokenizer(folder)).encode(text, 77)).toEqual(tokenizer.encode(text, 77));
  }
});
