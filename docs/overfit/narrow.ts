/**
 * Sets the posterior of encoded clips to its mean. The golden VAE has random weights and a posterior as wide as
 * its means, which no network could learn to predict; that of a trained VAE is narrow by itself.
 *
 *     npx tsx docs/overfit/narrow.ts LATENTS_FILE...
 */
import { openSafetensors } from '@dwm/core-tensor';
import { openPath, readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';

for (const file of process.argv.slice(2)) {
  const checkpoint = await openSafetensors(await openPath(file));
  await checkpoint.close();
  const tensors = await readSafetensors(file);
  for (const { data } of tensors.values()) (data as Float32Array).fill(-30, data.length / 2);
  await saveSafetensors(file, tensors, checkpoint.metadata);
}
