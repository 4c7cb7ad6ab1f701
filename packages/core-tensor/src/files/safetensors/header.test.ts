import { describe, expect, it } from 'vitest';
import { InvalidFileError } from '../../errors.ts';
import { type ByteSource, bytesSource } from '../byte-source.ts';
import { DTYPE_BITS, isDtype } from './dtypes.ts';
import { byteLength, readHeader } from './header.ts';

/** File bytes from raw header text (or bytes) and a data size. */
function file(header: string | Uint8Array, dataBytes: number, length?: bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.byteLength + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.byteLength), true);
  bytes.set(json, 8);
  return bytes;
}

const read = (bytes: Uint8Array) => readHeader(bytesSource('m.safetensors', bytes));
const f32 = (shape: unknown, begin: unknown, end: unknown) =>
  JSON.stringify({ dtype: 'F32', shape, data_offsets: [begin, end] });

async function messageOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => expect.fail('was accepted'),
    (e) => e,
  );
  expect(error).toBeInstanceOf(InvalidFileError);
  expect(error.message).toMatch(/^m\.safetensors: [^\n]+$/);
  return error.message;
}

describe('readHeader', () => {
  it('gives offsets from the start of the file, whatever the order in the header', async () => {
    const json = `{"__metadata__":{"format":"pt"},"b":${f32([3], 8, 20)},"a":${f32([], 4, 8)},"e":${f32([0, 5], 4, 4)},"s":${f32([1], 0, 4)}}   `;
    const { tensors, metadata } = await read(file(json, 20));
    const start = 8 + json.length;
    expect(metadata).toEqual({ format: 'pt' });
    expect([...tensors.keys()]).toEqual(['b', 'a', 'e', 's']);
    expect(tensors.get('b')).toEqual({
      dtype: 'F32',
      shape: [3],
      begin: start + 8,
      end: start + 20,
      file: 'm.safetensors',
    });
    expect(tensors.get('e')).toMatchObject({ begin: start + 4, end: start + 4, shape: [0, 5] });
  });

  it('reads every dtype', async () => {
    for (const dtype of Object.keys(DTYPE_BITS).filter(isDtype)) {
      const size = (3 * 4 * DTYPE_BITS[dtype]) / 8;
      const json = JSON.stringify({ t: { dtype, shape: [3, 4], data_offsets: [0, size] } });
      expect((await read(file(json, size))).tensors.get('t')?.dtype).toBe(dtype);
    }
  });

  it('refuses parts of a byte', async () => {
    for (const [dtype, shape] of [
      ['F4', [3]],
      ['F6_E3M2', [2]],
    ]) {
      const json = JSON.stringify({ t: { dtype, shape, data_offsets: [0, 2] } });
      await expect(read(file(json, 2))).rejects.toThrow(
        /tensor "t": .* takes 12 bits, which are not whole bytes/,
      );
    }
  });

  it('takes null for no metadata, as the reference does', async () => {
    const { metadata, tensors } = await read(file(`{"__metadata__":null,"t":${f32([2], 0, 8)}}`, 8));
    expect(metadata).toEqual({});
    expect([...tensors.keys()]).toEqual(['t']);
  });

  it('keeps awkward names apart from object machinery', async () => {
    const json = `{"__proto__":${f32([1], 0, 4)},"constructor":${f32([1], 4, 8)}}`;
    expect([...(await read(file(json, 8))).tensors.keys()]).toEqual(['__proto__', 'constructor']);
  });

  const ok = f32([2], 0, 8);
  const cases: [what: string, bytes: Uint8Array, message: RegExp][] = [
    ['an empty file', new Uint8Array(0), /truncated: 0 bytes, expected at least 8/],
    ['a length cut short', new Uint8Array(7), /truncated: 7 bytes/],
    ['a header past the end', file('{}', 0, 3n), /truncated: the header ends at byte 11, the file has 10/],
    [
      'a header of 100 MB and a byte',
      file('{}', 0, 100_000_001n),
      /header length is 100000001 bytes, expected at most/,
    ],
    ['a length of 2^64 - 1', file('{}', 0, 2n ** 64n - 1n), /header length is 18446744073709551615/],
    ['no header', file('', 0), /header is not valid JSON/],
    ['broken JSON', file('{"a":', 0), /header is not valid JSON/],
    ['a byte-order mark', file('\ufeff{}', 0), /header is not valid JSON/],
    ['bytes that are not UTF-8', file(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]), 0), /not UTF-8/],
    ['an array', file('[]', 0), /header must be a JSON object, found \[\]/],
    ['null', file('null', 0), /header must be a JSON object/],
    ['the same tensor twice', file(`{"a":${ok},"a":${ok}}`, 8), /header has the key "a" twice/],
    [
      'the same tensor twice, escaped',
      file(`{"a":${ok},"\\u0061":${ok}}`, 8),
      /header has the key "a" twice/,
    ],
    [
      'a field twice',
      file('{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}', 8),
      /the key "dtype" twice/,
    ],
    ['a tensor that is a number', file('{"a":3}', 0), /tensor "a": must be an object/],
    [
      'an unknown dtype',
      file('{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}', 8),
      /dtype "F33" is unknown; expected one of C64, F64, F32/,
    ],
    [
      'an inherited dtype',
      file('{"a":{"dtype":"toString","shape":[],"data_offsets":[0,8]}}', 8),
      /dtype "toString" is unknown/,
    ],
    ['no dtype', file('{"a":{"shape":[2],"data_offsets":[0,8]}}', 8), /dtype undefined is unknown/],
    [
      'no shape',
      file('{"a":{"dtype":"F32","data_offsets":[0,8]}}', 8),
      /shape must be a list of whole numbers/,
    ],
    ['no offsets', file('{"a":{"dtype":"F32","shape":[2]}}', 8), /data_offsets must be two whole numbers/],
    [
      'a negative size',
      file(`{"a":${f32([-2], 0, 8)}}`, 8),
      /shape must be a list of whole numbers .* found \[-2\]/,
    ],
    ['a fractional size', file(`{"a":${f32([1.5], 0, 6)}}`, 8), /shape must be/],
    [
      'a size of 2^53',
      file('{"a":{"dtype":"U8","shape":[9007199254740992],"data_offsets":[0,8]}}', 8),
      /shape must be/,
    ],
    [
      'a size of 1e999',
      file('{"a":{"dtype":"U8","shape":[1e999],"data_offsets":[0,8]}}', 8),
      /shape must be/,
    ],
    ['a size that is text', file(`{"a":${f32(['2'], 0, 8)}}`, 8), /shape must be/],
    [
      'a product beyond 2^53',
      file(`{"a":${f32([94906267, 94906267], 0, 8)}}`, 8),
      /has more than 2\^53 - 1 bits of F32/,
    ],
    [
      'a product that wraps 64 bits to 8 bytes',
      file(`{"a":${f32([2 ** 32, 2 ** 32, 2], 0, 8)}}`, 8),
      /has more than 2\^53/,
    ],
    [
      'three offsets',
      file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}', 8),
      /data_offsets must be two/,
    ],
    ['a negative offset', file(`{"a":${f32([2], -8, 0)}}`, 8), /data_offsets must be two/],
    [
      'an end before the begin',
      file(`{"a":${f32([2], 8, 0)}}`, 8),
      /data_offsets begin at 8 and end before it, at 0/,
    ],
    [
      'a shape that disagrees with its bytes',
      file(`{"a":${f32([3], 0, 8)}}`, 8),
      /F32 of shape \[3\] takes 12 bytes, but data_offsets span 8/,
    ],
    [
      'a tensor past the end',
      file(`{"a":${f32([2], 0, 8)}}`, 7),
      /truncated: tensor "a" ends at byte \d+, the file has/,
    ],
    [
      'an overlap',
      file(`{"a":${f32([2], 0, 8)},"b":${f32([2], 4, 12)}}`, 12),
      /tensor "b" overlaps .* data offset 4, expected 8/,
    ],
    ['two tensors in one place', file(`{"a":${ok},"b":${ok}}`, 8), /overlaps/],
    [
      'a hole',
      file(`{"a":${f32([1], 0, 4)},"b":${f32([1], 8, 12)}}`, 12),
      /tensor "b" leaves a hole .* data offset 8, expected 4/,
    ],
    ['a hole at the start', file(`{"a":${f32([1], 4, 8)}}`, 8), /tensor "a" leaves a hole/],
    ['bytes left over', file(`{"a":${ok}}`, 9), /the tensors end at byte \d+, but the file has \d+ bytes/],
    ['data without tensors', file('{}', 1), /the tensors end at byte 10, but the file has 11 bytes/],
    [
      'metadata that is not text',
      file('{"__metadata__":{"step":3}}', 0),
      /__metadata__\["step"\] must be a string, found 3/,
    ],
    [
      'metadata that is a list',
      file('{"__metadata__":["pt"]}', 0),
      /__metadata__ must be an object of strings/,
    ],
    ['a name with a line break', file('{"a\\nb":3}', 0), /tensor "a\\nb": must be an object/],
  ];
  it.each(cases)('refuses %s', async (_, bytes, message) => {
    expect(await messageOf(read(bytes))).toMatch(message);
  });

  it('takes metadata of megabytes, as image tools store there', async () => {
    const __metadata__ = { workflow: '{"a": "b\\n"}'.repeat(200_000) };
    expect((await read(file(JSON.stringify({ __metadata__ }), 0))).metadata).toEqual(__metadata__);
  });

  it('refuses endless nesting without running out of stack', async () => {
    const nested = (open: string, close: string) => open.repeat(200_000) + close.repeat(200_000);
    for (const text of [
      nested('[', ']'),
      `{"a":${nested('[', ']')}}`,
      nested('{"a":', '}').replace(':}', ':1}'),
    ]) {
      expect(await messageOf(read(file(text, 0)))).toMatch(/header is nested deeper than 100/);
    }
  });

  it('keeps the message short for an endless name', async () => {
    expect((await messageOf(read(file(`{"${'x'.repeat(100_000)}":3}`, 0)))).length).toBeLessThan(300);
  });
});

/** mulberry32. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

describe('readHeader on 2,000 mutated files', () => {
  const good = `{"__metadata__":{"format":"pt"},"w":${f32([2, 3], 0, 24)},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"e":{"dtype":"I64","shape":[0],"data_offsets":[32,32]}}`;
  const nasty =
    '-1|0|1|3|24|32|1.5|1e400|9007199254740991|9007199254740992|18446744073709551615|null|true|""|"F64"|"__proto__"|[]|{}|[[[[]]]]|[0,8]|[8,0]|{"a":1,"a":2}'.split(
      '|',
    );

  function mutate(random: (below: number) => number): Uint8Array {
    let text = good;
    const edits = 1 + random(3);
    const style = random(3);
    if (style === 0) {
      // Replace a whole JSON value by one that hurts.
      for (let i = 0; i < edits; i++) {
        const values = [...text.matchAll(/\d+|"[^"]*"|\[[^[\]]*\]|\{[^{}]*\}/g)];
        const value = values[random(values.length)]!;
        text =
          text.slice(0, value.index) +
          nasty[random(nasty.length)] +
          text.slice(value.index + value[0].length);
      }
      return file(text, random(4) ? 32 : random(64));
    }
    if (style === 1) {
      // Move, drop or repeat stretches of the text.
      for (let i = 0; i < edits; i++) {
        const from = random(text.length);
        const stretch = text.slice(from, from + random(30));
        const to = random(text.length);
        const rest = random(2) ? text.slice(0, from) + text.slice(from + stretch.length) : text;
        text = rest.slice(0, to) + stretch + rest.slice(to);
      }
      return file(text, 32);
    }
    // Damage raw bytes, the length among them, or cut the file.
    const bytes = file(text, 32);
    for (let i = 0; i < edits; i++) bytes[random(i ? bytes.length : 16)] = random(256);
    return random(4) ? bytes : bytes.subarray(0, random(bytes.length));
  }

  it('either refuses in one line or describes the file soundly, without large reads', async () => {
    const random = seeded(20240607);
    let refused = 0;
    let longestRead = 0;
    for (let i = 0; i < 2000; i++) {
      const bytes = mutate(random);
      const inner = bytesSource('m.safetensors', bytes);
      const source: ByteSource = {
        ...inner,
        read(offset, length, into) {
          longestRead = Math.max(longestRead, length);
          return inner.read(offset, length, into);
        },
      };
      try {
        const { tensors, metadata } = await readHeader(source);
        const dataBegin = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
        let covered = dataBegin;
        for (const { dtype, shape, begin, end } of tensors.values()) {
          expect(end - begin).toBe(byteLength(dtype, shape));
          expect(begin).toBeGreaterThanOrEqual(dataBegin);
          covered += end - begin;
        }
        expect(covered).toBe(bytes.byteLength);
        expect(Object.values(metadata).every((value) => typeof value === 'string')).toBe(true);
      } catch (error) {
        if (!(error instanceof InvalidFileError)) throw error;
        expect(error.message).toMatch(/^m\.safetensors: [^\n]{1,400}$/);
        refused++;
      }
    }
    expect(longestRead).toBeLessThan(1000);
    // Both outcomes must occur, or the mutations test nothing.
    expect(refused).toBeGreaterThan(1000);
    expect(refused).toBeLessThan(2000);
  });
});
