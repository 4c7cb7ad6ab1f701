/** What a set of dropped files is, by its names. */
import type { DroppedFile } from '../model-store/dropped.ts';

type Dropped =
  | { readonly kind: 'model' }
  | { readonly kind: 'lora' }
  | { readonly kind: 'room' }
  | { readonly kind: 'trajectory'; readonly files: readonly DroppedFile[] }
  | {
      readonly kind: 'videos';
      readonly scene: DroppedFile;
      readonly hands: DroppedFile;
      readonly caption?: DroppedFile;
    }
  | { readonly kind: 'unknown'; readonly reason: string };

const named = (pattern: RegExp) => (file: DroppedFile) => pattern.test(file.path);

export function kindOf(files: readonly DroppedFile[]): Dropped {
  if (files.some(named(/\.(glb|gltf|ply|spz|splat)$/i))) return { kind: 'room' };
  if (files.some(named(/(^|\/)(transformer|vae|text_encoder|scheduler)\/[^/]+$/i))) return { kind: 'model' };
  // Some models have their transformer in the folder itself.
  if (files.some(named(/(^|\/)diffusion_pytorch_model[^/]*\.safetensors$/i))) return { kind: 'model' };
  // Weights without a network around them are fine-tuned ones.
  if (files.some(named(/\.safetensors$|(^|\/)(pytorch_lora_weights|adapter_model)\.bin$/i)))
    return { kind: 'lora' };
  const videos = files.filter(named(/\.(mp4|mov|webm|mkv|m4v)$/i));
  if (videos.length === 2) {
    const hands = videos.find(named(/hand/i)) ?? videos[1];
    const caption = files.find(named(/\.txt$/i));
    return {
      kind: 'videos',
      hands,
      scene: videos.find((file) => file !== hands)!,
      ...(caption && { caption }),
    };
  }
  if (videos.length > 0) {
    return {
      kind: 'unknown',
      reason: `${videos.length} video${videos.length > 1 ? 's' : ''}: drop two together, the static scene and the hands`,
    };
  }
  const recordings = files.filter(named(/\.(json|jsonl|csv|npz)$|(^|\/)(cameras|images)\.(txt|bin)$/i));
  if (recordings.length > 0) return { kind: 'trajectory', files: recordings };
  const names = files.map(({ path }) => path).join(', ') || 'nothing';
  return {
    kind: 'unknown',
    reason: `${names}: expected a scene (.glb, .gltf, .ply, .spz, .splat), a trajectory (.json, COLMAP, Aria), two videos, a model folder or a LoRA folder`,
  };
}
