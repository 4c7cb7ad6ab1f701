/** A text encoder from GGUF under llama.cpp's names, against the same one from safetensors. */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@dwm/core-tensor';
import { bytesSource, openGguf, type SafetensorsTensor, subfolder } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { type GgufTensor, relativeError, toGguf, writeGguf } from '@dwm/core-tensor/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openT5 } from '../cogvideox/text.ts';
import { textShapes } from '../families/symbols.ts';
import { T5Streamed } from './streamed.ts';
import { T5Encoder } from './t5-encoder.ts';

const tiny = join(import.meta.dirname, '../../../../models/dwm-tiny');
const SHAPE = [1, 9] as const;
const ids = [Uint32Array.from({ length: 9 }, (_, i) => (37 * i) % 291)];

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openNodeDevice();
  folder = await mkdtemp(join(tmpdir(), 'dwm-llama-'));
  await mkdir(join(folder, 'text_encoder'));
  const config = await (await openDirectory(tiny)).open('text_encoder/config.json');
  await writeFile(join(folder, 'text_encoder/config.json'), await config.read(0, config.size));
  await config.close?.();
});
afterAll(async () => {
  device?.destroy();
  await rm(folder, { recursive: true, force: true });
});

/** As llama.cpp's converter names what transformers saves. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/^shared/, 'token_embd'],
  [/^encoder\.final_layer_norm/, 'enc.output_norm'],
  [/^encoder\.block\.(\d+)\.layer\.[01]\./, 'enc.blk.$1.'],
  [/SelfAttention\.relative_attention_bias/, 'attn_rel_b'],
  [/SelfAttention\.([qkvo])/, 'attn_$1'],
  [/DenseReluDense\.wi_0/, 'ffn_gate'],
  [/DenseReluDense\.wi_1/, 'ffn_up'],
  [/DenseReluDense\.wo/, 'ffn_down'],
];

/** Writes the encoder as GGUF, and what its numbers stand for as safetensors in another folder. */
async function write(rounded: string): Promise<void> {
  const tensors = await readSafetensors(join(tiny, 'text_encoder/model.safetensors'));
  const made: GgufTensor[] = [];
  const names = new Map<string, string>();
  for (const [name, tensor] of tensors) {
    if (name === 'encoder.embed_tokens.weight') continue;
    const norm = name.includes('.1.layer_norm') ? 'ffn_norm' : 'attn_norm';
    const own = NAMES.reduce((text, [from, to]) => text.replace(from, to), name);
    const llama = own.replace(/(?<=\.)layer_norm/, norm);
    names.set(llama, name);
    made.push(toGguf(llama, tensor, tensor.shape.length === 2 && tensor.shape[1] % 32 === 0));
  }
  const decoder = { name: 'dec.output_norm.weight', shape: [64], type: 0, data: new Uint8Array(256) };
  const bytes = writeGguf([...made, decoder]);
  await writeFile(join(folder, 'text_encoder/model.gguf'), bytes);
  const checkpoint = await openGguf(bytesSource('made', bytes));
  const stands = new Map<string, SafetensorsTensor>();
  for (const [llama, name] of names) {
    const { floats, ...entry } = checkpoint.tensors.get(llama)!;
    const plain = new Map([[llama, floats ? { ...entry, dtype: 'F32' as const, form: floats } : entry]]);
    stands.set(name, await checkpoint.withTensors(plain).readTensor(llama));
  }
  await saveSafetensors(join(rounded, 'model.safetensors'), stands);
}

test('Q8_0, its token table too, resident and streamed, is what its numbers stand for', async () => {
  const rounded = join(folder, 'rounded');
  await mkdir(rounded);
  await copyFile(join(folder, 'text_encoder/config.json'), join(rounded, 'config.json'));
  await write(rounded);
  const right = await T5Encoder.load(device, await openDirectory(rounded));
  const want = await right.encode(ids, SHAPE);
  const expected = (await want.read()) as Float32Array;
  want.destroy();
  right.destroy();
  const gguf = await openDirectory(folder);
  const resident = await T5Encoder.load(device, subfolder(gguf, 'text_encoder'));
  const [all] = [...resident.parameters.tensors].filter(([name]) =>
    name.endsWith('layer.0.SelfAttention.q.weight'),
  );
  expect(all[1].dtype).toBe('i8');
  const { text } = (await textShapes(gguf))();
  expect(text!.shapes.outerBytes + text!.shapes.blocks * text!.shapes.blockBytes).toBe(
    resident.parameters.bytes,
  );
  const streamed = await T5Streamed.open(device, await openT5(gguf));
  const bits: Float32Array[] = [];
  for (const encoder of [resident, streamed]) {
    const out = await encoder.encode(ids, SHAPE);
    bits.push((await out.read()) as Float32Array);
    out.destroy();
    encoder.destroy();
  }
  expect(relativeError(bits[0], expected)).toBeLessThan(1e-5);
  expect(bits[1]).toEqual(bits[0]);
});
