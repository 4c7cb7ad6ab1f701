/**
 * Time on the wire of a training's gradients, with made-up ones: `mpirun -n 4 npx tsx bench/src/wire.ts [elements]`.
 * Without a device: what is measured is packing, sending, and unpacking, as `GradientSum` does them.
 */
import { openMpi } from '../../apps/cli/src/mpi/mpi.ts';
import { fromBf16, toBf16 } from '../../packages/dwm-model/src/training/peers.ts';

/** Rank 64 in four layers of each of the 5B's 42 blocks. */
const LORA_5B = 42 * 4 * 2 * 3072 * 64;
const BUCKET = 1 << 20;
const ROUNDS = 3;

const elements = Number(process.argv[2] ?? LORA_5B);
const mpi = await openMpi();
const share = Math.ceil(elements / mpi.count);
const bytes = (data: ArrayBufferView) =>
  new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
const values = Float32Array.from({ length: BUCKET * mpi.count }, (_, i) => Math.sin(i));

async function round(bf16: boolean): Promise<void> {
  const packed = (data: Float32Array) => bytes(bf16 ? toBf16(data) : data);
  const unpacked = (data: Uint8Array) =>
    bf16
      ? fromBf16(new Uint16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length / 2))
      : new Float32Array(data.buffer as ArrayBuffer, data.byteOffset, data.length / 4);
  for (let at = 0; at < share; at += BUCKET) {
    const width = Math.min(BUCKET, share - at);
    unpacked(await mpi.exchange(packed(values.subarray(0, width * mpi.count))));
    unpacked(await mpi.gather(packed(values.subarray(0, width))));
  }
}

for (const bf16 of [false, true]) {
  await round(bf16);
  const since = performance.now();
  for (let i = 0; i < ROUNDS; i++) await round(bf16);
  const seconds = (performance.now() - since) / 1000 / ROUNDS;
  const sent = (2 * (mpi.count - 1) * share * (bf16 ? 2 : 4)) / 1e9;
  if (mpi.rank === 0)
    console.log(
      `${mpi.library}, ${mpi.count} processes, ${elements} elements in ${bf16 ? 'bf16' : 'f32'}: ${seconds.toFixed(3)} s, ${sent.toFixed(3)} GB from each, ${(sent / seconds).toFixed(2)} GB/s`,
    );
}
mpi.finalize();
