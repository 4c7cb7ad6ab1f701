/** Wan's own names of the VAE's weights, which are ours, and diffusers' for the same. */
import type { WanVaeConfig } from './config.ts';

const PARTS: readonly (readonly [native: RegExp, diffusers: string])[] = [
  [/^conv1\./, 'quant_conv.'],
  [/^conv2\./, 'post_quant_conv.'],
  [/^(encoder|decoder)\.conv1\./, '$1.conv_in.'],
  [/^(encoder|decoder)\.head\.0\./, '$1.norm_out.'],
  [/^(encoder|decoder)\.head\.2\./, '$1.conv_out.'],
  [/^(encoder|decoder)\.middle\.0\./, '$1.mid_block.resnets.0.'],
  [/^(encoder|decoder)\.middle\.1\./, '$1.mid_block.attentions.0.'],
  [/^(encoder|decoder)\.middle\.2\./, '$1.mid_block.resnets.1.'],
];

const RESIDUAL: readonly (readonly [native: string, diffusers: string])[] = [
  ['.residual.0.', '.norm1.'],
  ['.residual.2.', '.conv1.'],
  ['.residual.3.', '.norm2.'],
  ['.residual.6.', '.conv2.'],
  ['.shortcut.', '.conv_shortcut.'],
];

/** diffusers' name of a weight. */
export function diffusersVaeName(
  { blocks, shortcuts }: Pick<WanVaeConfig, 'blocks' | 'shortcuts'>,
  name: string,
): string {
  const part = PARTS.find(([native]) => native.test(name));
  const located = part ? name.replace(...part) : level(name, blocks, shortcuts);
  const inside = RESIDUAL.find(([native]) => located.includes(native));
  return inside ? located.replace(...inside) : located;
}

function level(name: string, blocks: number, shortcuts: boolean): string {
  if (!shortcuts) {
    return name
      .replace(/^encoder\.downsamples\.(\d+)\./, 'encoder.down_blocks.$1.')
      .replace(/^decoder\.upsamples\.(\d+)\./, (_, count: string) => {
        const [at, index] = [Math.floor(Number(count) / (blocks + 2)), Number(count) % (blocks + 2)];
        return `decoder.up_blocks.${at}.${index <= blocks ? `resnets.${index}` : 'upsamplers.0'}.`;
      });
  }
  return name
    .replace(
      /^encoder\.downsamples\.(\d+)\.downsamples\.(\d+)\./,
      (_, at: string, index: string) =>
        `encoder.down_blocks.${at}.${Number(index) < blocks ? `resnets.${index}` : 'downsampler'}.`,
    )
    .replace(
      /^decoder\.upsamples\.(\d+)\.upsamples\.(\d+)\./,
      (_, at: string, index: string) =>
        `decoder.up_blocks.${at}.${Number(index) <= blocks ? `resnets.${index}` : 'upsampler'}.`,
    );
}
