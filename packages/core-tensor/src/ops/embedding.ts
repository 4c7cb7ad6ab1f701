/** Rows of a table by index. */
import { bytesOf, elementCount, lowerEmbedding, lowerEmbeddingBackward } from '@dwm/kernels-wgsl';
import { InvalidArgumentError } from '../errors.ts';
import { record, type Tensor } from '../tensor.ts';

/**
 * `table` row by row: [..., C] in f32. An id beyond the table takes its last row.
 * @param ids u32, any shape [...].
 * @param table [V, C], f32, f16 or bf16.
 */
export function embedding(ids: Tensor, table: Tensor): Tensor {
  if (ids.dtype !== 'u32' || table.shape.length !== 2 || table.dtype === 'u32' || table.dtype === 'i32') {
    throw new InvalidArgumentError(
      'embedding',
      `expected u32 ids and a table [V, C] of floats, got ${ids.dtype} [${ids.shape}] and ${table.dtype} [${table.shape}]`,
    );
  }
  const [vocabulary, channels] = table.shape;
  const count = elementCount(ids.shape);
  return record(
    {
      kind: 'kernel',
      name: 'embedding',
      cost: { flops: 0, bytes: count * (4 + channels * (4 + bytesOf(table.dtype))) },
      epilogue: false,
      bindings: 3,
      vjp: ({ gradients: [g], needed }) => {
        if (!g || !needed[1]) return [];
        const [gradient] = record(
          {
            kind: 'kernel',
            name: 'embeddingBackward',
            cost: { flops: count * channels, bytes: 4 * channels * (count + vocabulary) },
            epilogue: false,
            bindings: 4,
            lower: ({ caps }) => lowerEmbeddingBackward({ count, vocabulary, channels }, caps),
          },
          [ids, g],
          [{ shape: table.shape, dtype: 'f32' }],
        );
        return [undefined, gradient];
      },
      lower: ({ caps }) => lowerEmbedding({ count, vocabulary, channels, dtype: table.dtype }, caps),
    },
    [ids, table],
    [{ shape: [...ids.shape, channels], dtype: 'f32' }],
  )[0];
}
