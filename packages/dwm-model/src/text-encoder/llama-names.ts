/**
 * The encoder of T5 or umT5 as GGUF files have it: under llama.cpp's names, perhaps beside a decoder, its tables
 * quantized like everything else. Here it gets the names of transformers, and tables, of which rows are read, are f32.
 */
import { type Checkpoint, type ModelFolder, openCheckpoint, type TensorEntry } from '@dwm/core-tensor/files';

const TOKENS = 'token_embd.weight';
const OUTER: Readonly<Record<string, string>> = {
  token_embd: 'shared',
  'enc.output_norm': 'encoder.final_layer_norm',
};
const IN_BLOCK: Readonly<Record<string, string>> = {
  attn_rel_b: '0.SelfAttention.relative_attention_bias',
  attn_norm: '0.layer_norm',
  attn_q: '0.SelfAttention.q',
  attn_k: '0.SelfAttention.k',
  attn_v: '0.SelfAttention.v',
  attn_o: '0.SelfAttention.o',
  ffn_norm: '1.layer_norm',
  ffn_gate: '1.DenseReluDense.wi_0',
  ffn_up: '1.DenseReluDense.wi_1',
  ffn_down: '1.DenseReluDense.wo',
};
const TABLES = /^token_embd\.|\.attn_rel_b\./;

/** As `openCheckpoint`; an encoder under llama.cpp's names has those of transformers. */
export async function openEncoder(folder: ModelFolder, base: string): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(folder, base);
  return checkpoint.tensors.has(TOKENS) ? fromLlama(checkpoint) : checkpoint;
}

function fromLlama(checkpoint: Checkpoint): Checkpoint {
  const found = new Map<string, TensorEntry>();
  for (const [name, entry] of checkpoint.tensors) {
    if (name.startsWith('dec.')) continue;
    const [, module, end] = /^(.*)(\.weight(?:_scale|_offset)?)$/.exec(name) ?? [];
    const [, block, layer] = /^enc\.blk\.(\d+)\.(\w+)$/.exec(module ?? '') ?? [];
    const own = block === undefined ? OUTER[module] : IN_BLOCK[layer];
    const named = block === undefined ? own : own && `encoder.block.${block}.layer.${own}`;
    const { floats } = entry;
    if (!TABLES.test(name)) found.set(named === undefined ? name : named + end, entry);
    else if (end === '.weight')
      found.set(named + end, floats ? { ...entry, dtype: 'F32', form: floats } : entry);
  }
  return checkpoint.withTensors(found);
}
